"""Noise on flat batches: exact shares, the same bits everywhere for the same (seed, epoch, sample).

Each corruption is a function of a flat batch and a vocabulary, with its settings as a small class,
a function that draws the choice (`choose_...`, in its module) and one that applies a given choice.
Recipes put corruptions together.
"""

from noisebeam.transforms.noise.apply import apply_corruption, apply_recipe, corruption_steps
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
from noisebeam.transforms.noise.corruptions.masking import (
    Replacements,
    TokenMasking,
    mask_tokens,
    replace_tokens,
)
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
from noisebeam.transforms.noise.plugins import CorruptionPlugin, purpose_of
from noisebeam.transforms.noise.recipes import PRESETS, Recipe, check_recipe, load_recipe
from noisebeam.transforms.noise.span_lengths import SpanLengths
from noisebeam.transforms.noise.spans import Spans, replace_spans

__all__ = [
    "PRESETS",
    "BlankInfilling",
    "Blanks",
    "CorruptionPlugin",
    "Denoiser",
    "DocumentRotation",
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
    "apply_corruption",
    "apply_recipe",
    "check_recipe",
    "corrupt_spans",
    "corruption_steps",
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
]
