"""Laws that every corruption must obey."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from dataclasses import is_dataclass

import numpy as np

from noisebeam.testing.batches import VOCABULARY, random_batches
from noisebeam.testing.laws import no_error, require
from noisebeam.transforms.data.samples import FlatBatch
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.noise.batch_ops import samples_between
from noisebeam.transforms.noise.corruption import NEW, Corruption, Trace
from noisebeam.transforms.noise.registry import find_problem

_TIMES = ((0, 0), (17, 3))  # seed and epoch


def check_corruption(
    corruption: Corruption,
    *,
    vocabulary: Vocabulary = VOCABULARY,
    examples: int = 100,
    seed: int = 0,
) -> None:
    """Raise BrokenLawError if a corruption breaks a law on `examples` random batches.

    The laws: a frozen dataclass with a name, equal after pickling; `check` accepts the vocabulary;
    the result has the same samples in the same order, with valid offsets, ids and sentence ends;
    prefix and suffix stay; the same bits in every call, in any batch, whatever the state
    of global random numbers; the input is not modified. If the corruption has `trace`, each token
    with an origin is the token at that origin; if it has `model_inputs`, these are `input_ids`,
    `labels` and others with a row for each sample, which do not depend on the rest of the batch.

    >>> from noisebeam.transforms.noise.corruptions.deletion import TokenDeletion
    >>> check_corruption(TokenDeletion(share=0.2), examples=10)
    """
    name = str(getattr(corruption, "name", type(corruption).__name__))
    _check_class(corruption, name)
    with no_error(name, "check accepts the vocabulary", vocabulary):
        corruption.check(vocabulary)
    for batch in random_batches(seed, examples, vocabulary):
        for at in _TIMES:
            _check_batch(corruption, name, batch, vocabulary, *at)


def _check_class(corruption: Corruption, name: str) -> None:
    """Raise BrokenLawError unless the corruption is a frozen dataclass with a name, and is equal
    after pickling.
    """
    kind = type(corruption)
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen
    law = "a frozen dataclass with a name of its own"
    named = isinstance(getattr(kind, "name", None), str)
    require(frozen and named, name, law, expected=law, got=kind, given="the class")
    with no_error(name, "equal after pickling", corruption):
        copy = pickle.loads(pickle.dumps(corruption))
        law = "equal after pickling"
        require(copy == corruption, name, law, expected=corruption, got=copy, given=corruption)


def _check_batch(
    corruption: Corruption,
    name: str,
    batch: FlatBatch,
    vocabulary: Vocabulary,
    seed: int,
    epoch: int,
) -> None:
    """Raise BrokenLawError if the corruption breaks a law on one flat batch."""
    given = f"{rows_of(batch)} with seed {seed}, epoch {epoch}"
    before = pickle.dumps(batch)
    with no_error(name, "apply to any batch", given):
        after = corruption.apply(batch, vocabulary, seed=seed, epoch=epoch)
    law = "the input is not modified"
    require(pickle.dumps(batch) == before, name, law, expected="no change", got=batch, given=given)
    problem = find_problem(batch, after, vocabulary)
    law = "the same samples, with valid offsets and ids"
    require(problem is None, name, law, expected="a valid batch", got=problem, given=given)
    _check_sentences(name, after, given)
    _check_specials(name, batch, after, vocabulary, given)
    rows = rows_of(after)
    _scramble_global_state()
    again = rows_of(corruption.apply(batch, vocabulary, seed=seed, epoch=epoch))
    law = "the same bits in every call"
    require(again == rows, name, law, expected=rows, got=again, given=given)
    for i, row in enumerate(rows):
        alone = samples_between(batch, i, i + 1)
        found = rows_of(corruption.apply(alone, vocabulary, seed=seed, epoch=epoch))[0]
        law, sample = "the same bits in any batch", f"sample {i} of {given}"
        require(found == row, name, law, expected=row, got=found, given=sample)
        _check_trace(corruption, name, alone, found, vocabulary, seed, epoch)
    _check_model_inputs(corruption, name, batch, vocabulary, seed, epoch)


def _check_trace(
    corruption: Corruption,
    name: str,
    sample: FlatBatch,
    after: list[int],
    vocabulary: Vocabulary,
    seed: int,
    epoch: int,
) -> None:
    """Raise BrokenLawError if the corruption's trace of one sample does not fit the ids
    `after` it.
    """
    trace_of = getattr(corruption, "trace", None)
    if trace_of is None:
        return
    given = f"{rows_of(sample)} with seed {seed}, epoch {epoch}"
    with no_error(name, "trace any sample", given):
        trace: Trace = trace_of(sample, vocabulary, seed=seed, epoch=epoch)
    origins, before = trace.origins.tolist(), rows_of(sample)[0]
    law = "an origin for each token, within the sample"
    lawful = len(origins) == len(after) and all(NEW <= at < len(before) for at in origins)
    require(lawful, name, law, expected=f"{len(after)} origins", got=origins, given=given)
    starts = {len(vocabulary.prefix), *sample.sentence_ends.tolist()}
    pairs = zip(origins, after, strict=True)
    wrong = [(at, id_) for at, id_ in pairs if at != NEW and before[at] != id_ and at not in starts]
    law = "each token is the token at its origin"
    require(not wrong, name, law, expected="the same ids", got=wrong, given=given)
    law, new = "a change for each new token", origins.count(NEW)
    require(len(trace.new) == new, name, law, expected=new, got=len(trace.new), given=given)


def _check_model_inputs(
    corruption: Corruption,
    name: str,
    batch: FlatBatch,
    vocabulary: Vocabulary,
    seed: int,
    epoch: int,
) -> None:
    """Raise BrokenLawError if the corruption's model inputs lack a field, or if those of a sample
    depend on other samples.
    """
    inputs_of = getattr(corruption, "model_inputs", None)
    if inputs_of is None:
        return
    given = f"{rows_of(batch)} with seed {seed}, epoch {epoch}"
    with no_error(name, "model inputs of any batch", given):
        together = inputs_of(batch, vocabulary, seed=seed, epoch=epoch)
        alone = [
            inputs_of(samples_between(batch, i, i + 1), vocabulary, seed=seed, epoch=epoch)
            for i in range(len(batch))
        ]
    law, fields = "input_ids and labels among the model inputs", sorted(together)
    require(
        {"input_ids", "labels"} <= together.keys(), name, law, expected=law, got=fields, given=given
    )
    for field, rows in together.items():
        law, size = f"a row of {field} for each sample", len(rows.offsets) - 1
        require(size == len(batch), name, law, expected=len(batch), got=size, given=given)
        law = f"the same {field} in any batch"
        for i, inputs in enumerate(alone):
            row, one = rows.between(i, i + 1).values.tolist(), inputs[field].values.tolist()
            require(row == one, name, law, expected=one, got=row, given=f"sample {i} of {given}")


def rows_of(batch: FlatBatch) -> list[list[int]]:
    """Return the ids of each sample of a flat batch as a list."""
    bounds = zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)
    return [batch.ids[start:end].tolist() for start, end in bounds]


def _check_sentences(name: str, after: FlatBatch, given: str) -> None:
    """Raise BrokenLawError unless the sentence ends of each sample ascend within the sample."""
    law = "sentence ends ascend within their sample"
    for i in range(len(after)):
        first, last = after.sentence_offsets[i : i + 2].tolist()
        ends = after.sentence_ends[first:last].tolist()
        start, end = after.offsets[i : i + 2].tolist()
        lawful = ends == sorted(ends) and all(start <= at <= end for at in ends)
        require(lawful, name, law, expected=f"{start} to {end}", got=ends, given=given)


def _check_specials(
    name: str, before: FlatBatch, after: FlatBatch, vocabulary: Vocabulary, given: str
) -> None:
    """Raise BrokenLawError if a sample loses its prefix or suffix of special tokens.

    Tokens may be appended after the suffix, as part B of GLM.
    """
    law, prefix, suffix = "prefix and suffix stay", vocabulary.prefix, vocabulary.suffix
    for row, new in zip(rows_of(before), rows_of(after), strict=True):
        kept = _has_frame(new, prefix, suffix) or not _has_frame(row, prefix, suffix)
        require(kept, name, law, expected=[*prefix, "...", *suffix], got=new, given=given)


def _has_frame(row: Sequence[int], prefix: Sequence[int], suffix: Sequence[int]) -> bool:
    """Return True if a row of ids begins with `prefix`, and has `suffix` somewhere after it."""
    first, size = len(prefix), len(suffix)
    ends = range(first, len(row) - size + 1)
    begins = list(row[:first]) == list(prefix)
    return begins and any(list(row[at : at + size]) == list(suffix) for at in ends)


def _scramble_global_state() -> None:
    """Draw from the global random generators, so that a corruption that uses them gets other
    numbers.
    """
    random.random()
    np.random.random()
