"""Noise on flat batches: exact shares, the same bits everywhere for the same (seed, epoch, sample).

Each corruption is a function of a flat batch and a vocabulary, with its settings as a small class, a function that
draws the choice (`choose_...`, in its module) and one that applies a given choice. Recipes put corruptions together.
"""

from noisebeam.transforms.noise.application import apply_corruption, apply_recipe, corruption_steps
from noisebeam.transforms.noise.blanks import BlankInfilling, Blanks, cut_blanks, infill_blanks
from noisebeam.transforms.noise.deletion import TokenDeletion, delete_tokens, remove_tokens
from noisebeam.transforms.noise.infilling import TextInfilling, fill_spans, infill_text
from noisebeam.transforms.noise.insertion import TokenInsertion, insert_tokens
from noisebeam.transforms.noise.lengths import SpanLengths
from noisebeam.transforms.noise.masking import Replacements, TokenMasking, mask_tokens, replace_tokens
from noisebeam.transforms.noise.permutation import SentencePermutation, permute_sentences, reorder_sentences
from noisebeam.transforms.noise.plugins import CorruptionPlugin, purpose_of
from noisebeam.transforms.noise.prefixes import PrefixSplit, prefix_labels, split_prefixes
from noisebeam.transforms.noise.recipes import PRESETS, Recipe, check_recipe, load_recipe
from noisebeam.transforms.noise.rotation import DocumentRotation, rotate_documents, rotate_to
from noisebeam.transforms.noise.span_corruption import Denoiser, SpanCorruption, corrupt_spans, span_labels
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
