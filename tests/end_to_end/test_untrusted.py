"""Nothing that is read can run code, leave its folder or take memory beyond its own size."""

from __future__ import annotations

import ast
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from noisebeam.pipeline import ShardDataset
from noisebeam.pipeline.cli import main
from noisebeam.pipeline.inspect.verify import verify
from noisebeam.transforms.io.safe_yaml import load_yaml
from noisebeam.transforms.noise import load_recipe
from noisebeam.transforms.output.manifest import ManifestError, read_manifest
from noisebeam.transforms.shards.format import TAR_END, TAR_HEADER, ShardIndex, tar_header
from noisebeam.transforms.shards.reader import ShardError

ROOT = Path(__file__).parents[2]
RUNNING = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "torch.load",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o700)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in RUNNING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNNING:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            called = _dotted(node.func)
            unsafe_numpy = called == "np.load" and given.get("allow_pickle") != "False"
            extracts = called.endswith((".extractall", ".extract"))
            if called in CALLS or unsafe_numpy or extracts or given.get("shell") == "True":
                yield ast.unparse(node)


def test_no_source_runs_what_it_reads() -> None:
    sources = [
        path
        for name in ("transforms", "pipeline", "deploy")
        for path in (ROOT / name).rglob("*.py")
    ]
    found = {path: list(dangers(ast.parse(path.read_text(encoding="utf-8")))) for path in sources}
    assert len(sources) > 100
    # It pickles the corruption that a test gives it, and reads no other pickle.
    laws = ROOT / "deploy/package/testing/corruptions.py"
    assert {path: listed for path, listed in found.items() if listed} == {laws: ["pickle"]}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from dill import loads",
        "np.load(f)",
        "yaml.load(f)",
        "x.extractall()",
        "eval('1')",
    ],
)
def test_the_search_for_dangers_finds_them(code: str) -> None:
    assert len(list(dangers(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.mkdir [trap]", "could not determine a constructor for the tag"),
        ("!!python/name:os.system ''", "could not determine a constructor for the tag"),
        ("a: &a [1]\nb: *a\n", r"aliases such as \*name are not taken; write the value out"),
        ("[" * 100_000, "expected at most 50 nested lists and mappings, got more"),
        ("a: [b", "while parsing a flow sequence"),
    ],
)
def test_yaml_gives_plain_values_only(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_yaml(text)
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"recipe '{tmp_path}/recipe.yaml' is not YAML: "):
        load_recipe(str(tmp_path / "recipe.yaml"))


def rewritten(url: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a data set."""
    path = Path(url, "manifest.json")
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.fixture
def folder(make_set: Callable[..., str], tmp_path: Path) -> str:
    """A data set of 40 samples in one shard, in a folder of its own."""
    return make_set(str(tmp_path / "set"), 40, num_shards=1)


OUTSIDE = [
    "../shard.tar",
    "/etc/passwd",
    "s3://bucket/shard.tar",
    "..\\shard.tar",
    "a/b.tar",
    "file:shard.tar",
    "x\0",
]


@pytest.mark.parametrize("key", ["name", "index_name"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_in_a_manifest_leaves_the_folder(
    folder: str, key: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(folder, lambda values: values["shards"][0].update({key: name}))
    message = "expected the name of a file beside the manifest, got "
    open_set = partial(ShardDataset, batch_size=4, seed=1)
    for reader in (open_set, verify, read_manifest):
        with pytest.raises(ManifestError, match=message):
            reader(folder)
    for command in ("inspect", "stats", "verify"):
        assert main([command, folder]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"sha256": "../../escape"},
            "expected 64 hex digits as sha256 of shard-00000-of-00001.tar, got '../../esc",
        ),
        (
            {"index_sha256": 5},
            "expected 64 hex digits as index_sha256 of shard-00000-of-00001.tar, got 5",
        ),
        ({"samples": -1}, "expected a count as samples of shard-00000-of-00001.tar, got -1"),
        ({"bytes": 10**30}, "expected a count as bytes of shard-00000-of-00001.tar, got 1000"),
        ({"tokens": "9"}, "expected a count as tokens of shard-00000-of-00001.tar, got '9'"),
    ],
)
def test_what_a_manifest_says_of_a_shard_is_checked(
    folder: str, values: dict[str, object], message: str
) -> None:
    """A sha256 names the file in the cache: it must not lead out of there."""
    rewritten(folder, lambda manifest: manifest["shards"][0].update(values))
    with pytest.raises(ManifestError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fields": {"ids": "O"}}, "fields of dtype 'O'"),
        ({"fields": {"ids": "V999999999"}}, "fields of dtype 'V999999999'"),
        ({"fields": ["ids"]}, "object has no attribute 'values'"),
        (
            {"recipe": "!!python/object/apply:os.mkdir [trap]"},
            "could not determine a constructor for the tag",
        ),
        ({"recipe": "- a list"}, "a recipe that is not a mapping"),
    ],
)
def test_what_a_manifest_says_of_fields_and_noise_is_checked(
    folder: str, values: dict[str, object], message: str
) -> None:
    rewritten(folder, lambda manifest: manifest.update(values))
    with pytest.raises(ManifestError, match=message):
        read_manifest(folder)


def test_a_manifest_beyond_all_bounds_is_not_read(folder: str) -> None:
    with Path(folder, "manifest.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(
        ManifestError, match="expected 536,870,912 bytes at most, got 1,073,741,824; build again"
    ):
        read_manifest(folder)


def test_a_manifest_of_nested_brackets_is_refused(folder: str) -> None:
    Path(folder, "manifest.json").write_text("[" * 200_000)
    with pytest.raises(ManifestError, match="expected JSON, got too many nested brackets"):
        read_manifest(folder)


def replaced(folder: str, shard: bytes | None = None, index: bytes | None = None) -> None:
    """Put another shard or index in the place of the only one, with checksums that are right."""
    info = read_manifest(folder).shards[0]
    changes: dict[str, object] = {}
    if shard is not None:
        Path(folder, info.name).write_bytes(shard)
        changes.update(sha256=sha256(shard).hexdigest(), bytes=len(shard))
    if index is not None:
        Path(folder, info.index_name).write_bytes(index)
        changes.update(index_sha256=sha256(index).hexdigest())
    rewritten(folder, lambda manifest: manifest["shards"][0].update(changes))


def index_of(folder: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(
        Path(folder, read_manifest(folder).shards[0].index_name), allow_pickle=False
    ) as arrays:
        return dict(arrays)


def npz(arrays: dict[str, Any], **raw: bytes) -> bytes:
    """An uncompressed `.npz`; `raw` are members' bytes as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(values), version=(1, 0))
            archive.writestr(f"{name}.npy", raw.get(name, content.getvalue()))
    return buffer.getvalue()


def claims(shape: str, descr: str = "'<i8'") -> bytes:
    """An `.npy` whose header claims a shape that its content has not."""
    header = (
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
        + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


def test_a_pickle_in_an_index_is_not_loaded(folder: str, tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    replaced(folder, index=npz({**index_of(folder), "lengths": trap}))
    with pytest.raises(
        ShardError, match=r"the index .* cannot be read: not a shard index: lengths.npy is no array"
    ):
        ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)
    assert len(verify(folder)) == 1
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (claims(f"({2**62},)"), "positions.npy claims the shape"),
        (claims(f"({2**31}, {2**31})"), "positions.npy claims the shape"),
        (claims("(-1, -8)"), "not a shard index"),
        (claims("(8,)", "'|O'"), "positions.npy is no array of integers or text"),
        (claims("(8,)"), "do not go together"),
        (b"not an array", "not a shard index"),
    ],
)
def test_an_index_takes_no_more_memory_than_its_bytes(
    folder: str, member: bytes, message: str
) -> None:
    replaced(folder, index=npz(index_of(folder), positions=member))
    with pytest.raises(ShardError, match=message):
        ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)


def test_a_compressed_index_is_refused(folder: str) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**index_of(folder), "lengths": np.zeros(2**24, np.uint8)})
    assert len(buffer.getvalue()) < 2**16
    replaced(folder, index=buffer.getvalue())
    with pytest.raises(ShardError, match=r"positions.npy is compressed|npy is compressed"):
        ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("counts", 2**50, "is truncated: expected|is not what its index tells"),
        ("counts", 2**62, "expected integers from 0 to"),
        ("counts", -1, "expected integers from 0 to"),
        ("positions", 0, "expected blocks after their headers"),
        ("positions", 2**50, "is truncated: expected|is not what its index tells|is damaged"),
        ("samples", 2**50, "a length for each sample"),
    ],
)
def test_numbers_in_an_index_lead_nowhere(folder: str, name: str, value: int, message: str) -> None:
    arrays = index_of(folder)
    replaced(folder, index=npz({**arrays, name: np.full_like(arrays[name], value)}))
    with pytest.raises(ShardError, match=message):
        ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)
    assert verify(folder)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_a_tar_is_never_unpacked(folder: str, kind: bytes, tmp_path: Path) -> None:
    """Links and names that lead out of the folder are differences, and no more."""
    info = read_manifest(folder).shards[0]
    shard = Path(folder, info.name).read_bytes()
    evil = tarfile.TarInfo("../../escape" if kind == tarfile.DIRTYPE else "link")
    evil.type, evil.linkname = kind, "/etc/passwd"
    replaced(folder, shard=shard.removesuffix(TAR_END) + evil.tobuf(tarfile.USTAR_FORMAT) + TAR_END)
    before = set(tmp_path.rglob("*"))
    assert (
        f"member {evil.name}: 0 bytes at byte {len(shard) - 512} in the tar, nowhere in the index"
        in str(verify(folder))
    )
    assert ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)
    assert set(tmp_path.rglob("*")) == before


def test_a_member_outside_the_folder_is_a_difference(folder: str) -> None:
    info = read_manifest(folder).shards[0]
    shard = Path(folder, info.name).read_bytes().removesuffix(TAR_END)
    replaced(folder, shard=shard + tar_header("../../../etc/evil", 1) + b"x" + bytes(511) + TAR_END)
    (difference,) = [text for text in verify(folder) if "evil" in text]
    assert "member ../../../etc/evil: 1 bytes at byte" in difference


def test_document_ids_that_are_none_are_told(folder: str) -> None:
    index = ShardIndex.from_bytes(
        Path(folder, read_manifest(folder).shards[0].index_name).read_bytes()
    )
    assert index.positions[0, 0] > TAR_HEADER
    arrays = index_of(folder)
    dtypes = np.array([*arrays["dtypes"][:-1], "<u8"], dtype="U8")
    replaced(folder, index=npz({**arrays, "dtypes": dtypes}))
    with pytest.raises(ShardError, match=r"is truncated|is damaged|is not what its index tells"):
        ShardDataset(folder, recipe="bart", batch_size=4, seed=1).sample(0)


def test_yaml_that_is_dumped_with_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="could not determine a constructor"):
        load_yaml(yaml.dump(Path("a")))
