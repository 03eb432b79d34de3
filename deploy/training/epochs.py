"""Epochs of a data set looked at without a model: what the loss is held against, and which noise there was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.collate import IGNORED, Batch


def label_entropy(dataset: ShardDataset) -> float:
    """The entropy of the labels of epoch 0, in nats: the loss of the best guess that sees no context."""
    counts = np.zeros(dataset.vocabulary.size, dtype=np.int64)
    for batch in epoch_of(dataset, 0):
        labels = batch["labels"]
        counts += np.bincount(labels[labels != IGNORED].numpy(), minlength=len(counts))
    return entropy(counts)


def entropy(counts: npt.NDArray[np.int64]) -> float:
    """The entropy, in nats, of a distribution given by counts.

    >>> round(entropy(np.array([5, 0, 5])) / np.log(2), 6)
    1.0
    """
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def noise_digest(dataset: ShardDataset, epoch: int) -> str:
    """Eight hexadecimal digits of the inputs of an epoch, in the order of the shards: only the noise changes them."""
    inputs = (batch["input_ids"].numpy().tobytes() for batch in epoch_of(dataset, epoch))
    return hashlib.sha256(b"".join(inputs)).hexdigest()[:8]


def epoch_of(dataset: ShardDataset, epoch: int) -> Iterator[Batch]:
    """The whole of an epoch on one rank, in the order of the shards."""
    return iter(
        ShardDataset(
            dataset.url,
            dataset.recipe,
            batch_size=dataset.batch_size,
            seed=dataset.seed,
            epoch=epoch,
            rank=0,
            world_size=1,
            shuffle=False,
            tail="pad",
        )
    )


def unseen(dataset: ShardDataset, count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Inputs and labels of the first samples, with the noise of an epoch that was not trained on."""
    dataset.set_epoch(10**6)
    view = dataset.view()
    for example in map(view.__getitem__, range(count)):
        yield example["input_ids"].tolist(), example["labels"].tolist()
