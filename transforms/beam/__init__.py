"""PTransforms: each wires a pure function of this package into a Beam pipeline.

    documents, dead_letters = pipeline | ReadDocuments(["corpus/*.jsonl.gz"])
    documents = documents | DetectLanguages()
    documents, counts = documents | CleanDocuments(CleaningOptions(drop_duplicates=True))
    sentences, more = documents | SegmentSentences()
    windows, more_still = sentences | BuildWindows(tokenizer="facebook/bart-base")
    samples = windows | EncodeWindows(tokenizer="facebook/bart-base")
    noised = samples | ApplyNoise("bart", tokenizer="facebook/bart-base", seed=17)
    noised | WriteShards("shards", ...)

Each can be used alone. A transform that can meet a bad record has two outputs: the good ones, and
dead letters, each of which is the whole record with its source and the reason. CleanDocuments
counts what it drops.
"""

from noisebeam.transforms.beam.clean import CleanDocuments
from noisebeam.transforms.beam.encode import ApplyNoise, BuildWindows, EncodeWindows
from noisebeam.transforms.beam.read import DetectLanguages, ReadDocuments, SegmentSentences
from noisebeam.transforms.beam.write import WriteShards

__all__ = [
    "ApplyNoise",
    "BuildWindows",
    "CleanDocuments",
    "DetectLanguages",
    "EncodeWindows",
    "ReadDocuments",
    "SegmentSentences",
    "WriteShards",
]
