"""Entry points: found, loaded, and told with their package when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from noisebeam.transforms import plugins
from noisebeam.transforms.data.documents import DeadLetter, Document
from noisebeam.transforms.data.samples import Sample, batch_samples
from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.formats import ReadOptions, read_documents
from noisebeam.transforms.io.input_files import FilePart
from noisebeam.transforms.noise import apply_recipe, load_recipe, purpose_of
from noisebeam.transforms.noise.rng import Stream
from noisebeam.transforms.plugins import (
    FORMATS,
    PluginError,
    load_plugin,
    plugin_names,
    plugin_origin,
)
from noisebeam.transforms.segmenters.segmenters import SegmenterOptions

MODULE = """
from dataclasses import dataclass, replace
from noisebeam.transforms.data.documents import Document

def read(part, options):
    yield Document("good", "A text.")
    yield Document("", "No name.")
    yield Document("bad", "a NUL: \\0", position=7)

def read_numbers(part, options):
    yield 5

@dataclass(frozen=True)
class Broken:
    name = "broken"
    wrong: str = "ids"
    def check(self, vocabulary): pass
    def apply(self, batch, vocabulary, *, seed, epoch):
        changed = {"ids": batch.ids + 1000, "keys": batch.keys + 1, "offsets": batch.offsets[::-1]}
        if self.wrong not in changed:
            return None
        return replace(batch, **{self.wrong: changed[self.wrong]})

class Undataclassed: name = "undataclassed"
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two packages, of which the second offers a name of the first too."""
    (tmp_path / "module_of_a.py").write_text(MODULE)
    formats = "[noisebeam.formats]\nmine = module_of_a:read\nnumbers = module_of_a:read_numbers\n"
    noise = (
        "[noisebeam.corruptions]\nbroken = module_of_a:Broken\nundataclassed = "
        "module_of_a:Undataclassed\n"
    )
    entries = {
        "a": f"{formats}twice = module_of_a:read\n{noise}",
        "b": "[noisebeam.formats]\ntwice = module_of_b:read\n",
    }
    for name, text in entries.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    caches = (plugins.plugin_names, plugins.load_plugin, plugins.plugin_origin)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("packages")
def test_names_and_packages_are_found() -> None:
    assert plugin_names(FORMATS) == ("mine", "numbers", "twice")
    assert plugin_origin(FORMATS, "mine") == "a 1.0"
    assert plugin_origin(FORMATS, "jsonl") == ""
    assert ReadOptions().format_of("corpus/file.mine.gz") == "mine"
    assert ReadOptions(format="mine").format == "mine"


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none",
            r"^'none': no installed package offers it \(entry points of group "
            r"noisebeam.formats\); install ",
        ),
        (
            "twice",
            r"^'twice': expected one package to offer it, got .*package a 1\.0, .*package "
            r"b 1\.0; uninstall",
        ),
    ],
)
def test_a_name_has_to_be_offered_once(name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        load_plugin(FORMATS, name)


@pytest.mark.usefixtures("packages")
def test_what_a_format_gives_keeps_to_the_rules_for_documents() -> None:
    found = list(read_documents(FilePart("x.mine"), ReadOptions()))
    assert found[0] == Document("good", "A text.")
    assert isinstance(found[0], Document)
    assert found[0].source == "x.mine"
    assert found[1] == Document("", "No name.")
    reason = "expected text without NUL, got one at character 7"
    assert found[2] == DeadLetter("x.mine", 7, reason, b'{"id": "bad", "text": "a NUL: \\u0000"}')
    with pytest.raises(
        PluginError, match=r"format 'numbers' of a 1\.0: expected a Document or a DeadLetter, got 5"
    ):
        list(read_documents(FilePart("x.numbers"), ReadOptions()))


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("ids", r"^corruption 'broken' of a 1\.0: expected ids from 0 to 9, got 1001 to 1003$"),
        ("keys", "expected the same 1 samples, got 1 or in another order"),
        ("offsets", "expected offsets of 1 samples, from 0 up to 3 ids"),
        ("nothing", "expected a FlatBatch, got NoneType"),
    ],
)
def test_what_a_corruption_gives_is_checked(wrong: str, message: str) -> None:
    sample = Sample(1, "d", 0, {"ids": np.array([1, 2, 3]), "sentence_lengths": np.array([3])})
    recipe = load_recipe({"corruptions": [{"broken": {"wrong": wrong}}]})
    with pytest.raises(PluginError, match=message):
        apply_recipe(recipe, batch_samples([sample], 0), Vocabulary(size=10), 0, 0)


@pytest.mark.usefixtures("packages")
def test_a_corruption_has_to_be_a_dataclass_with_known_settings() -> None:
    with pytest.raises(
        ValueError, match=r"corruption 'undataclassed' of a 1\.0: expected a dataclass, got <class"
    ):
        load_recipe({"corruptions": ["undataclassed"]})
    with pytest.raises(ValueError, match="broken: unknown key 'share'; expected wrong"):
        load_recipe({"corruptions": [{"broken": {"share": 1}}]})


def test_unknown_names_list_what_is_known() -> None:
    with pytest.raises(ValueError, match=r"or package\.module:factory, got 'clauses'"):
        SegmenterOptions(name="clauses")


def test_purposes_of_others_are_their_own() -> None:
    assert purpose_of("a: places") != purpose_of("a: kinds")
    assert purpose_of("a: places") not in set(Stream)
