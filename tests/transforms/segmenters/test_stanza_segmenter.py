from __future__ import annotations

import gzip
import json
import logging
import random
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from noisebeam.testing import check_segmenter
from noisebeam.transforms.segmenters import stanza_segmenter
from noisebeam.transforms.segmenters.segmenters import (
    Segmenter,
    SegmenterError,
    SegmenterOptions,
    load_segmenter,
    prepare_segmenter,
)

pytestmark = pytest.mark.skipif(find_spec("stanza") is None, reason="needs noisebeam[stanza]")


@pytest.fixture(scope="module")
def segmenter(shared: Path) -> Segmenter:
    options = SegmenterOptions(name="stanza", stanza_dir=str(shared / "stanza_resources"))
    prepare_segmenter(options)
    return load_segmenter(options)


@pytest.fixture(scope="module")
def treebank(shared: Path) -> list[dict[str, Any]]:
    lines = (shared / "segmentation/en_ewt_dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[::6]]


def spans_of(segmenter: Segmenter, texts: list[str], size: int) -> list[list[list[int]]]:
    batches = [texts[i : i + size] for i in range(0, len(texts), size)]
    return [
        spans.tolist()
        for batch in batches
        for spans in segmenter.segment(batch, [None] * len(batch))
    ]


def odd_texts(count: int) -> list[str]:
    draw = random.Random(5)
    alphabet = "ab.A ?!\n\r\t\u00a0\u3000。\x80\x85\x9f\x1c😀é\u0301\u200b\u200d“”'-0\ufeff\u2028ัسก"
    return ["".join(draw.choices(alphabet, k=draw.randint(0, 60))) for _ in range(count)]


def test_sentences_of_plain_and_odd_texts(segmenter: Segmenter) -> None:
    cases = {
        "It rains.  We don't mind 😀.\tDo we?": ["It rains.", "We don't mind 😀.", "Do we?"],
        "One line\r\n\r\nNext e\u0301tage.\n \nLast": ["One line", "Next e\u0301tage.", "Last"],
        " \r\n\t": [],
        "": [],
        "\x80\x81": ["\x80\x81"],
    }
    found = segmenter.segment(list(cases), [None] * len(cases))
    for (text, expected), spans in zip(cases.items(), found, strict=True):
        assert [text[start:end] for start, end in spans.tolist()] == expected


def test_spans_do_not_depend_on_the_batch(
    segmenter: Segmenter, treebank: list[dict[str, Any]]
) -> None:
    # lawful too: load_segmenter checks
    texts = [document["text"] for document in treebank] + odd_texts(60)
    texts.append(" ".join(texts[:8]))  # a paragraph of more than 1000 characters
    random.Random(1).shuffle(texts)
    alone = spans_of(segmenter, texts, 1)
    assert spans_of(segmenter, texts, 7) == alone
    assert spans_of(segmenter, texts, 64) == alone


@pytest.fixture(scope="module")
def stanza_itself(shared: Path) -> Any:
    import stanza

    return stanza.Pipeline(
        "en",
        dir=str(shared / "stanza_resources"),
        processors="tokenize",
        download_method=None,
        use_gpu=False,
        verbose=False,
    )


def by_stanza(stanza_itself: Any, text: str) -> list[list[int]]:
    sentences = stanza_itself.process(text, processors="tokenize").sentences
    return [[sentence.tokens[0].start_char, sentence.tokens[-1].end_char] for sentence in sentences]


def test_sentences_are_those_of_stanza(
    segmenter: Segmenter, treebank: list[dict[str, Any]], stanza_itself: Any, shared: Path
) -> None:
    texts = [document["text"] for document in treebank[:30]]
    texts += ["  See www.example.com. Write to joe@x.org.Then go. http://a.b/c?d.E and x.com. Yes "]
    texts += [re.sub("[\x80-\x9f]", "", text) for text in odd_texts(60)]
    assert spans_of(segmenter, texts, 99) == [by_stanza(stanza_itself, text) for text in texts]


def test_long_paragraphs_are_cut_as_by_stanza(
    segmenter: Segmenter, stanza_itself: Any, shared: Path
) -> None:
    with gzip.open(shared / "corpora/en_books.jsonl.gz") as file:
        book = " ".join(json.loads(next(file))["text"].split())
    texts = [book[:7000], "Short.\n\n" + book[:1000], book[:999] + "\n\nAnd short.", "word " * 700]
    assert spans_of(segmenter, texts, 9) == [by_stanza(stanza_itself, text) for text in texts]


def test_a_long_text_goes_group_by_group(
    segmenter: Segmenter, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gzip.open(shared / "corpora/en_books.jsonl.gz") as file:
        text = json.loads(next(file))["text"][:12_000]
    whole = spans_of(segmenter, [text, "It rains."], 2)
    monkeypatch.setattr(stanza_segmenter, "_GROUP", 1)
    assert spans_of(segmenter, [text, "It rains."], 2) == whole


def test_treebank_sentences_are_found(segmenter: Segmenter, treebank: list[dict[str, Any]]) -> None:
    spans = spans_of(segmenter, [document["text"] for document in treebank], 64)
    found = {(i, *span) for i, rows in enumerate(spans) for span in rows}
    gold = {(i, *span) for i, document in enumerate(treebank) for span in document["sentences"]}
    assert 2 * len(found & gold) / (len(found) + len(gold)) > 0.9


def test_nothing_is_printed_or_logged(
    segmenter: Segmenter, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        segmenter.segment(["It rains. We stay.", "x" * 2000], [None, None])
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("variable", [True, False])
def test_a_missing_model_is_fetched_once_into_the_folder(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    calls = []

    def download(lang: str, model_dir: str, **settings: Any) -> None:
        calls.append((lang, model_dir))
        shutil.copytree(shared / "stanza_resources", model_dir, dirs_exist_ok=True)

    monkeypatch.setattr("stanza.download", download)
    monkeypatch.setenv("STANZA_RESOURCES_DIR", str(tmp_path))
    for _ in range(2):
        prepare_segmenter(
            SegmenterOptions(
                name="stanza", lang="en", stanza_dir=None if variable else str(tmp_path)
            )
        )
    assert calls == [("en", str(tmp_path))]


def test_a_device_that_is_not_there_is_an_error(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    options = SegmenterOptions(
        name="stanza", stanza_dir=str(shared / "stanza_resources"), stanza_device="cuda:1"
    )
    with pytest.raises(
        SegmenterError,
        match=r"expected a GPU that torch .* can use for 'cuda:1', found none on this",
    ):
        load_segmenter(options)


def test_a_model_that_cannot_be_had_is_an_error_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: Any, **__: Any) -> None:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr("stanza.download", download)
    options = SegmenterOptions(name="stanza", lang="fi", stanza_dir=str(tmp_path))
    expected = (
        rf"^segmenter 'stanza': no usable model for 'fi' in '{tmp_path}' \(no network\); "
        r"where there is a network, run "
        r"""python -c "import stanza; """
        rf"""stanza.download\('fi', '{tmp_path}', processors='tokenize'\)" """
        r"and name the folder with --stanza-dir$"
    )
    with pytest.raises(SegmenterError, match=expected):
        prepare_segmenter(options)
    with pytest.raises(
        SegmenterError, match=r"no usable model for 'fi' in .*Resources file not found"
    ):
        load_segmenter(options)


def test_stanza_obeys_the_laws_of_segmenters(segmenter: Segmenter) -> None:
    check_segmenter(segmenter, examples=5)
