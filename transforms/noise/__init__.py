"""Noise on flat batches: exact shares, and the same bits for the same (seed, epoch, sample).

Each corruption has a class of settings, a function on flat batches (`mask_tokens`, ...), a function
that draws the choice (`choose_...`, in its module), and one that applies a given choice. A recipe
is a list of corruptions with an objective.

    Corruption (corruption.py)   protocol of built-in and other corruptions
    corruptions/                 one module a corruption; registry.py finds them
    Objective (objectives.py)    table of objectives
    Recipe (recipes.py)          corruptions + objective; apply.py applies it
"""

from noisebeam.transforms.noise.apply import apply_recipe
from noisebeam.transforms.noise.batch_ops import Replacements, replace_tokens
from noisebeam.transforms.noise.corruption import Change, Corruption, Trace
from noisebeam.transforms.noise.corruptions.blank_infilling import (
    BlankInfilling,
    Blanks,
    cut_blanks,
    infill_blanks,
)
from noisebeam.transforms.noise.corruptions.deletion import (
    TokenDeletion,
    delete_tokens,
    remove_tokens,
)
from noisebeam.transforms.noise.corruptions.insertion import TokenInsertion, insert_tokens
from noisebeam.transforms.noise.corruptions.masking import TokenMasking, mask_tokens
from noisebeam.transforms.noise.corruptions.permutation import (
    SentencePermutation,
    permute_sentences,
    reorder_sentences,
)
from noisebeam.transforms.noise.corruptions.prefix_split import (
    PrefixSplit,
    prefix_labels,
    split_prefixes,
)
from noisebeam.transforms.noise.corruptions.rotation import (
    DocumentRotation,
    rotate_documents,
    rotate_to,
)
from noisebeam.transforms.noise.corruptions.span_corruption import (
    Denoiser,
    SpanCorruption,
    corrupt_spans,
    span_labels,
)
from noisebeam.transforms.noise.corruptions.text_infilling import (
    TextInfilling,
    fill_spans,
    infill_text,
)
from noisebeam.transforms.noise.objectives import OBJECTIVES, Objective
from noisebeam.transforms.noise.recipes import PRESETS, Recipe, check_recipe, load_recipe
from noisebeam.transforms.noise.registry import apply_corruption
from noisebeam.transforms.noise.rng import stream_of
from noisebeam.transforms.noise.span_lengths import SpanLengths
from noisebeam.transforms.noise.spans import Spans, replace_spans

CorruptionPlugin = Corruption  # its name before version 0.2
purpose_of = stream_of  # its name before version 0.2

__all__ = [
    "OBJECTIVES",
    "PRESETS",
    "BlankInfilling",
    "Blanks",
    "Change",
    "Corruption",
    "CorruptionPlugin",
    "Denoiser",
    "DocumentRotation",
    "Objective",
    "PrefixSplit",
    "Recipe",
    "Replacements",
    "SentencePermutation",
    "SpanCorruption",
    "SpanLengths",
    "Spans",
    "TextInfilling",
    "TokenDeletion",
    "TokenInsertion",
    "TokenMasking",
    "Trace",
    "apply_corruption",
    "apply_recipe",
    "check_recipe",
    "corrupt_spans",
    "cut_blanks",
    "delete_tokens",
    "fill_spans",
    "infill_blanks",
    "infill_text",
    "insert_tokens",
    "load_recipe",
    "mask_tokens",
    "permute_sentences",
    "prefix_labels",
    "purpose_of",
    "remove_tokens",
    "reorder_sentences",
    "replace_spans",
    "replace_tokens",
    "rotate_documents",
    "rotate_to",
    "span_labels",
    "split_prefixes",
    "stream_of",
]
