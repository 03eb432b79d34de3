"""Epochs of a data set without a model: the baseline of the loss, and a digest of the noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain, count, islice

import numpy as np
import numpy.typing as npt

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.batching.collate import Batch
from noisebeam.transforms.noise.labels import IGNORED


def label_entropy(dataset: ShardDataset, batches: int = 1000) -> float:
    """Return the entropy of the labels of a number of batches, in nats: the best loss without any
    context.

    Batches continue over several epochs, since one epoch of a small corpus has too few labels.
    """
    counts = np.zeros(dataset.vocabulary.size, dtype=np.int64)
    epochs = (epoch_of(dataset, epoch) for epoch in count())
    for batch in islice(chain.from_iterable(epochs), batches):
        labels = batch["labels"]
        counts += np.bincount(labels[labels != IGNORED].numpy(), minlength=len(counts))
    return entropy(counts)


def entropy(counts: npt.NDArray[np.int64]) -> float:
    """Return the entropy, in nats, of a probability distribution that is given by counts.

    >>> round(entropy(np.array([5, 0, 5])) / np.log(2), 6)
    1.0
    """
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def noise_digest(dataset: ShardDataset, epoch: int) -> str:
    """Return a hash of the inputs and labels of a whole epoch, eight hexadecimal digits.

    Samples are in the order of storage, so that only the noise changes it.
    """
    fields = (
        batch[name].numpy().tobytes()
        for batch in epoch_of(dataset, epoch)
        for name in ("input_ids", "labels")
    )
    return hashlib.sha256(b"".join(fields)).hexdigest()[:8]


def epoch_of(dataset: ShardDataset, epoch: int) -> Iterator[Batch]:
    """Return an iterator over the batches of a whole epoch on one rank, in the order of storage."""
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


def unseen(dataset: ShardDataset, samples: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the inputs and labels of the first samples that noise changed, in an epoch that
    training does not use.
    """
    dataset.set_epoch(10**6)
    view = dataset.view()
    pairs = ((view[i]["input_ids"].tolist(), view[i]["labels"].tolist()) for i in range(len(view)))
    return islice((pair for pair in pairs if pair[0] != pair[1]), samples)
