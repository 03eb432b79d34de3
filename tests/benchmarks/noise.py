"""Noise throughput against what people use today: the same samples, one process, one thread, one
run.

    [FAIRSEQ_SRC=DIR] [TRANSFORMERS_SRC=DIR] python tests/benchmarks/noise.py \\
        [--repeats 20] [--tokens 512]

FAIRSEQ_SRC names a checkout of facebookresearch/fairseq (`DenoisingDataset`), TRANSFORMERS_SRC one
of huggingface/transformers from before the Flax examples went (`examples/flax/language-modeling`,
for instance v4.40.0: the numpy collators for BART and T5). What is not there is left out. Torch and
transformers have to be installed. Times are the best of the repeats; tokens are those that go in.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib.util
import math
import os
import sys
import time
import typing
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import BatchEncoding, DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from noisebeam.transforms.data.ragged import Ragged, offsets_of
from noisebeam.transforms.data.samples import FlatBatch, flat_batch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise import TokenMasking, apply_recipe, load_recipe, mask_tokens

BART = Vocabulary(
    size=50265,
    prefix=(0,),
    suffix=(2,),
    special_ids=(0, 1, 2, 3, 50264),
    pad_id=1,
    mask_id=50264,
    bos_id=0,
    eos_id=2,
)
T5 = Vocabulary(
    size=50365,
    suffix=(1,),
    special_ids=(0, 1, 2, *range(50265, 50365)),
    pad_id=0,
    eos_id=1,
    sentinel_ids=tuple(range(50364, 50264, -1)),
)
FULL_STOP = 4
SENTENCE = 25  # tokens
SLICE = 0.1  # seconds

Job = Callable[[], object]

# Name, against which other, the least ratio.
GOALS = [
    ("bart recipe", "fairseq bart", 100),
    ("bart recipe", "former hugging face bart", 50),
    ("mlm, from arrays", "transformers mlm, from arrays", 15),
    ("mlm, from lists", "transformers mlm, from lists", 5),
    ("token masking", "random < p, where", 0.7),
    ("t5 recipe", "former hugging face t5", 10),
]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a sample")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for samples in (32, 128):
        speeds = measure(
            dict(jobs(samples, arguments.tokens)), samples * arguments.tokens, arguments.repeats
        )
        print(f"\nflat batches of {samples} samples of {arguments.tokens} tokens")
        for name, speed in speeds.items():
            print(f"  {name:32} {speed / 1e6:9.2f} million tokens/s")
        for ours, other, least in GOALS:
            if other in speeds:
                print(f"  {ours} / {other}: {speeds[ours] / speeds[other]:.2f} (to reach: {least})")


def measure(timed: dict[str, Job], tokens: int, repeats: int) -> dict[str, float]:
    """Tokens per second of each job.

    Jobs take turns, and each runs over and over for a slice of about the same time, so that a busy
    moment of the machine is as likely to meet a fast job as a slow one. A job's time is the mean in
    its best slice.
    """
    runs: dict[str, int] = {}
    best = dict.fromkeys(timed, math.inf)
    for name, job in timed.items():
        job()
        runs[name] = max(1, round(SLICE / seconds_of(job, 1)))
    for _ in range(repeats):
        for name, job in timed.items():
            best[name] = min(best[name], seconds_of(job, runs[name]))
    return {name: tokens / seconds for name, seconds in best.items()}


def seconds_of(job: Job, runs: int) -> float:
    """Mean time of some runs."""
    start = time.perf_counter()
    for _ in range(runs):
        job()
    return (time.perf_counter() - start) / runs


def jobs(samples: int, tokens: int) -> Iterator[tuple[str, Job]]:
    """What is timed, by name."""
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 50264, (samples, tokens)).astype(np.int32)
    ids[:, SENTENCE::SENTENCE] = FULL_STOP
    ids[:, 0], ids[:, -1] = 0, 2
    batch, t5_batch = bart_batch(ids), t5_batch_of(ids)
    bart, bert, t5 = load_recipe("bart"), load_recipe("bert"), load_recipe("t5")
    rows, lists = list(ids.astype(np.int64)), ids.tolist()
    tokenizer = fast_tokenizer()
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    yield "numpy copy", ids.copy
    yield "random < p, where", lambda: np.where(rng.random(ids.shape) < 0.15, 50264, ids)
    yield "token masking", lambda: mask_tokens(batch, BART, TokenMasking(0.15), seed=1)
    yield "bart recipe", lambda: apply_recipe(bart, batch, BART, 1, 0)
    yield "t5 recipe", lambda: apply_recipe(t5, t5_batch, T5, 1, 0)
    yield "bert recipe", lambda: apply_recipe(bert, batch, BART, 1, 0)
    yield (
        "mlm, from arrays",
        lambda: tensors(apply_recipe(bert, joined(rows, batch.keys), BART, 1, 0)),
    )
    yield (
        "mlm, from lists",
        lambda: tensors(apply_recipe(bert, joined_lists(lists, batch.keys), BART, 1, 0)),
    )
    yield "transformers mlm, from arrays", lambda: collator([{"input_ids": row} for row in rows])
    yield "transformers mlm, from lists", lambda: collator([{"input_ids": row} for row in lists])
    if source := os.environ.get("FAIRSEQ_SRC"):
        dataset = fairseq_dataset(Path(source), torch.from_numpy(ids.astype(np.int64)))
        yield "fairseq bart", lambda: [dataset[i] for i in range(samples)]
    if source := os.environ.get("TRANSFORMERS_SRC"):
        folder = Path(source) / "examples" / "flax" / "language-modeling"
        yield "former hugging face bart", former_bart(folder, ids, tokenizer)
        yield "former hugging face t5", former_t5(folder, ids, tokenizer)


# Ours
# --------------------------------------------------------------------------------------------------


def bart_batch(ids: np.ndarray) -> FlatBatch:
    """The samples with their sentences and, as byte-level tokenizers need them, another first token
    for each.
    """
    samples, tokens = ids.shape
    lengths = np.diff([1, *range(SENTENCE + 1, tokens - 1, SENTENCE), tokens - 1])
    count = len(lengths) * samples
    tokens_at, sentences_at = (np.arange(samples + 1) * length for length in (tokens, len(lengths)))
    columns = {
        "ids": Ragged(ids.reshape(-1), tokens_at),
        "sentence_lengths": Ragged(np.tile(lengths, samples), sentences_at),
        "head_lengths": Ragged(np.ones(count, dtype=np.int64), sentences_at),
        "alternative_lengths": Ragged(np.ones(count, dtype=np.int64), sentences_at),
        "alternatives": Ragged(np.full(count, 7, dtype=np.int32), sentences_at),
    }
    keys = np.random.default_rng(1).integers(0, 2**63, samples).astype(np.uint64)
    return flat_batch(columns, keys, prefix_length=1)


def t5_batch_of(ids: np.ndarray) -> FlatBatch:
    """The same ids, each sample with T5's end."""
    body = np.maximum(ids, 5)
    ended = np.concatenate((body, np.ones((len(ids), 1), dtype=np.int32)), axis=1)
    batch = bart_batch(ids)
    none = np.zeros(0, dtype=np.int64)
    offsets = offsets_of(np.full(len(ids), ended.shape[1]))
    return FlatBatch(
        ended.reshape(-1), offsets, batch.keys, none, np.zeros(len(ids) + 1, dtype=np.int64)
    )


def joined(rows: list[np.ndarray], keys: np.ndarray) -> FlatBatch:
    """Rows as a flat batch without sentences."""
    offsets = offsets_of(np.array([len(row) for row in rows]))
    values = np.empty(offsets[-1], dtype=np.int32)
    np.concatenate(rows, out=values, casting="unsafe")
    return FlatBatch(
        values, offsets, keys, np.zeros(0, dtype=np.int64), np.zeros(len(rows) + 1, dtype=np.int64)
    )


def joined_lists(rows: list[list[int]], keys: np.ndarray) -> FlatBatch:
    """Lists as a flat batch without sentences."""
    values = array("i")
    for row in rows:
        values.fromlist(row)
    offsets = offsets_of(np.array([len(row) for row in rows]))
    ids = np.frombuffer(values, dtype=np.int32)
    return FlatBatch(
        ids, offsets, keys, np.zeros(0, dtype=np.int64), np.zeros(len(rows) + 1, dtype=np.int64)
    )


def tensors(fields: dict[str, Ragged]) -> dict[str, torch.Tensor]:
    """What a model takes: int64, padded, with an attention mask."""
    lengths = np.diff(fields["input_ids"].offsets)
    width = int(lengths.max())
    mask = np.arange(width) < lengths[:, None]
    padded = {
        "input_ids": pad(fields["input_ids"], mask, 1),
        "labels": pad(fields["labels"], mask, -100),
    }
    return {name: torch.from_numpy(values) for name, values in padded.items()} | {
        "attention_mask": torch.from_numpy(mask.astype(np.int64))
    }


def pad(ragged: Ragged, mask: np.ndarray, fill: int) -> np.ndarray:
    """(rows, width) int64."""
    if len(ragged.values) == mask.size:
        return ragged.values.reshape(mask.shape).astype(np.int64)
    padded = np.full(mask.shape, fill, dtype=np.int64)
    padded[mask] = ragged.values
    return padded


# The others
# --------------------------------------------------------------------------------------------------


def fast_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with BART's ids; the words do not matter."""
    words = (
        {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
        | {f"w{i}": i for i in range(4, 50264)}
        | {"<mask>": 50264}
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")),
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
    )


def fairseq_dataset(checkout: Path, ids: torch.Tensor) -> Any:
    """fairseq's `DenoisingDataset` with the settings of its BART, from two files of the
    checkout.
    """
    package = ModuleType("fairseq")
    data = ModuleType("fairseq.data")
    package.__path__ = data.__path__ = []  # type: ignore[attr-defined]
    package.utils = ModuleType("fairseq.utils")  # type: ignore[attr-defined]
    files = ModuleType("fairseq.file_io")
    files.PathManager = object  # type: ignore[attr-defined]
    sys.modules.update(
        {
            "fairseq": package,
            "fairseq.data": data,
            "fairseq.file_io": files,
            "fairseq.utils": package.utils,
        }
    )
    data.FairseqDataset = torch.utils.data.Dataset  # type: ignore[attr-defined]
    data.data_utils = load_file(
        "fairseq.data.data_utils", checkout / "fairseq" / "data" / "data_utils.py"
    )  # type: ignore[attr-defined]
    module = load_file(
        "fairseq.data.denoising_dataset", checkout / "fairseq" / "data" / "denoising_dataset.py"
    )

    class Words(SimpleNamespace):
        def __len__(self) -> int:
            return BART.size

    words = Words(eos=lambda: 2, bos=lambda: 0, pad=lambda: 1, index=lambda _: FULL_STOP)
    return module.DenoisingDataset(
        ids,
        [ids.shape[1]] * len(ids),
        words,
        mask_idx=50264,
        mask_whole_words=None,
        shuffle=False,
        seed=1,
        mask=0.3,
        mask_random=0.0,
        insert=0.0,
        rotate=0.0,
        permute_sentences=1.0,
        bpe="gpt2",
        replace_length=1,
        mask_length="span-poisson",
        poisson_lambda=3.0,
    )


def former_bart(folder: Path, ids: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> Job:
    """Its collator takes sentences that end with padding."""
    kind = classes_of(folder / "run_bart_dlm_flax.py")["FlaxDataCollatorForBartDenoisingLM"]
    collator = kind(
        tokenizer=tokenizer, decoder_start_token_id=2, mask_ratio=0.3, poisson_lambda=3.0
    )
    separated = np.where(ids == FULL_STOP, 1, ids).astype(np.int64)
    return lambda: collator([{"input_ids": row} for row in separated])


def former_t5(folder: Path, ids: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> Job:
    """Its collator takes samples of one length."""
    names = classes_of(folder / "run_t5_mlm_flax.py")
    noised = round(ids.shape[1] * 0.15)
    spans = round(noised / 3)
    collator = names["FlaxDataCollatorForT5MLM"](
        tokenizer=tokenizer,
        noise_density=0.15,
        mean_noise_span_length=3.0,
        input_length=ids.shape[1] - noised + spans + 1,
        target_length=noised + spans + 1,
        pad_token_id=1,
        decoder_start_token_id=1,
    )
    body = np.maximum(ids, 5).astype(np.int64)
    return lambda: collator([{"input_ids": row} for row in body])


def load_file(name: str, path: Path) -> Any:
    """One module of a checkout, alone."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def classes_of(script: Path) -> dict[str, Any]:
    """The collators of a script and the function that they need, without its imports of jax."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    wanted = [
        node
        for node in tree.body
        if (isinstance(node, ast.ClassDef) and "DataCollator" in node.name)
        or (isinstance(node, ast.FunctionDef) and node.name == "shift_tokens_right")
    ]
    flax = SimpleNamespace(struct=SimpleNamespace(dataclass=dataclasses.dataclass))
    # The T5 script takes this function from transformers; its time is a hundredth of the
    # collator's.
    names: dict[str, Any] = {
        **{name: getattr(typing, name) for name in ("Dict", "List")},
        **{
            "np": np,
            "math": math,
            "flax": flax,
            "dataclass": dataclasses.dataclass,
            "BatchEncoding": BatchEncoding,
        },
        "PreTrainedTokenizerBase": PreTrainedTokenizerFast,
        "shift_tokens_right": lambda ids, pad, start: np.concatenate(
            (np.full((len(ids), 1), start), ids[:, :-1]), axis=1
        ),
    }
    exec(compile(ast.Module(wanted, []), str(script), "exec"), names)
    return names


if __name__ == "__main__":
    main()
