"""Options of reading: the format of a file by its name, and what is refused."""

from __future__ import annotations

import pickle

import pytest

from noisebeam.transforms.formats import ReadOptions, split_inputs
from noisebeam.transforms.io.file_names import InputError


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.JSONL", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.json", "jsonl"),
        ("a.b.txt.gz", "text"),
        ("s3://b/a.md", "text"),
    ],
)
def test_the_format_follows_the_name(name: str, form: str) -> None:
    assert ReadOptions().format_of(name) == form


@pytest.mark.parametrize("name", ["corpus", "a.gz", "a.csv", "folder.jsonl/a"])
def test_a_name_that_tells_no_format_is_an_error(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"^format: expected a name ending in .*, got '{name}'; .* with --format$"
    ):
        split_inputs([name], ReadOptions())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"format": "csv"},
            "^format: expected one of auto, jsonl, text, paragraphs, parquet, warc, got 'csv'$",
        ),
        ({"text_field": ""}, "^text_field: expected the name of a field, got ''$"),
        ({"lang_field": ""}, "^lang_field: expected the name of a field, got ''$"),
        (
            {"lang_field": "l", "format": "text"},
            "^lang_field: expected only where records have fields, got it with 't",
        ),
        (
            {"id_field": "text"},
            "^id_field: expected another field than text_field, got 'text' for both$",
        ),
    ],
)
def test_nonsensical_options_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadOptions(**settings)


def test_options_travel_to_workers() -> None:
    options = ReadOptions(format="jsonl", text_field="body")
    assert pickle.loads(pickle.dumps(options)) == options
