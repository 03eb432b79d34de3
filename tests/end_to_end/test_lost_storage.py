"""Builds that lose their disk or network tell so in one line, and the same command completes them:
the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from support.faults import Cut, FaultProxy, QuietHandler, served
from support.marked_builds import checksums
from support.object_store import s3_server, s3_settings

from noisebeam.pipeline.cli import main
from noisebeam.transforms.io import storage

TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture
def flags(corpus: Path, tokenizer: str, tmp_path: Path) -> list[str]:
    """Settings of a build of a few documents and a bad record into 230 KB."""
    lines = (corpus / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.jsonl").write_text("".join([*lines[:3], "not JSON\n"]), encoding="utf-8")
    sizes = ("--max-tokens", "128", "--num-shards", "3", "--max-bad-fraction", "0.5")
    return [
        "build",
        "--quiet",
        "--input",
        str(tmp_path / "few.jsonl"),
        "--tokenizer",
        tokenizer,
        *sizes,
    ]


class Disk:
    """A small file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, *options: str) -> str:
        """Mount it, or mount it anew with other options; what went wrong."""
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    def is_clean(self) -> bool:
        """Whether there is neither a manifest nor a temporary file."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return not any(path.name == "manifest.json" or path.name.startswith(".") for path in files)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    if shutil.which("mount") is None or (problem := disk.mount("size=8k")):
        pytest.skip(
            "no file system can be mounted: "
            f"{problem if shutil.which('mount') else 'there is no mount'}"
        )
    yield disk
    subprocess.run(["umount", str(disk.folder)], check=True)


def undisturbed(flags: list[str], tmp_path: Path) -> dict[str, str]:
    assert main([*flags, "--output", str(tmp_path / "undisturbed")]) == 0
    return checksums(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "kilobytes",
    [
        pytest.param((16, 160), id="two"),
        pytest.param(range(8, 232, 8), id="all", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk(
    kilobytes: tuple[int, ...],
    flags: list[str],
    disk: Disk,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = []
    for size in kilobytes:
        disk.mount("remount", f"size={size}k")
        status, told = main([*flags, "--output", str(disk.folder / "out")]), capsys.readouterr().err
        if status == 0:
            break
        assert status == 2
        assert told.startswith(f"noisebeam: cannot write {disk.folder}/out/")
        assert told.endswith(
            ": No space left on device; mend that, and run the same command again\n"
        )
        assert told.count("\n") == 1
        assert disk.is_clean()
        failed.append(told.split("/out/")[1].split(":")[0])
    assert {"tokenizer/tokenizer.json"} < set(failed), "shards fail too"
    disk.mount("remount", "size=10m")
    assert main([*flags, "--output", str(disk.folder / "out"), "--overwrite"]) == 0
    assert checksums(disk.folder / "out") == undisturbed(flags, tmp_path)


@pytest.mark.slow
def test_a_full_disk_under_two_processes(flags: list[str], disk: Disk, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "noisebeam.pipeline.cli",
        *flags,
        *TWO_PROCESSES,
        "--output",
        f"{disk.folder}/out",
    ]
    disk.mount("remount", "size=160k")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"noisebeam: cannot write {disk.folder}/out/shard-0")
    assert done.stderr.count("\n") == 1
    assert disk.is_clean()
    disk.mount("remount", "size=10m")
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
    assert checksums(disk.folder / "out") == undisturbed(flags, tmp_path)


def test_a_read_only_output(
    flags: list[str],
    disk: Disk,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    output = str(disk.folder / "out")
    disk.mount("remount", "size=10m", "ro")
    assert main([*flags, "--output", output]) == 2
    assert capsys.readouterr().err == (
        f"noisebeam: cannot write to {output}: Read-only file system; give an output folder that "
        "you may write to\n"
    )
    assert main([*flags, "--output", output, "--dry-run"]) == 2
    assert f"cannot write to {output}: " in capsys.readouterr().err
    disk.mount("remount", "rw")
    assert main([*flags, "--output", output]) == 0
    assert main([*flags, "--output", output, "--dry-run", "--overwrite"]) == 0
    assert checksums(disk.folder / "out") == undisturbed(flags, tmp_path)
    assert os.listdir(tmp_path / "tmp") == []


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> Iterator[Cut]:
    """The network to a bucket that holds the corpus, from which the settings now read."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of botocore; s3fs makes five by itself
    network = Cut()
    with s3_server() as port, served(proxy := FaultProxy(port, network)), s3_settings(proxy.url):
        import s3fs

        fs = s3fs.S3FileSystem(skip_instance_cache=True)
        fs.mkdir("corpora")
        fs.put(flags[3], "corpora/in/few.jsonl")
        flags[3] = "s3://corpora/in/*.jsonl"
        yield network


@pytest.mark.slow
def test_a_lost_network(
    flags: list[str], network: Cut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import s3fs

    fs = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    assert main([*flags, "--output", "s3://corpora/undisturbed"]) == 0
    places, passing = [], 1
    while True:
        network.after(passing)
        status, told = main([*flags, "--output", "s3://corpora/out"]), capsys.readouterr().err
        if status == 0:
            break
        assert status == 2
        assert told.startswith(
            ("noisebeam: cannot ", "noisebeam: input: cannot ", "noisebeam: tokenizer: cannot ")
        )
        assert "s3://corpora/" in told
        assert told.count("\n") == 1
        places.append(re.split("[/:]", told.split("s3://corpora/")[1])[0])
        network.after(None)
        assert not fs.exists("corpora/out/manifest.json")
        passing += 6
    network.after(None)
    assert set(places) == {"in", "out"}
    assert len(places) > 5
    for name in ("undisturbed", "out"):
        fs.get(f"corpora/{name}", str(tmp_path / name), recursive=True)
    assert checksums(tmp_path / "out") == checksums(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost_at",
    ["HEAD %2A.jsonl", "GET few.jsonl", "PUT shard-00001-of-00003.tar", "PUT manifest.json"],
)
def test_a_silent_network(
    lost_at: str,
    flags: list[str],
    network: Cut,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import s3fs

    assert main([*flags, "--output", "s3://corpora/undisturbed"]) == 0
    assert lost_at in network.passed, network.passed
    network.silent_from = lost_at
    monkeypatch.setattr("noisebeam.transforms.io.timeouts.SHORTEST_DEADLINE", 4)
    began = time.monotonic()
    assert main([*flags, "--output", "s3://corpora/out"]) == 2
    assert time.monotonic() - began < 20
    told = capsys.readouterr().err
    assert re.fullmatch(
        r"noisebeam: (input: )?cannot \S+ '?s3://corpora/\S+ no answer in [45] seconds.*\n", told
    ), told
    network.after(None)
    fs = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    assert not fs.exists("corpora/out/manifest.json")
    assert main([*flags, "--output", "s3://corpora/out"]) == 0
    for name in ("undisturbed", "out"):
        fs.get(f"corpora/{name}", str(tmp_path / name), recursive=True)
    assert checksums(tmp_path / "out") == checksums(tmp_path / "undisturbed")


@pytest.fixture
def half_served(flags: list[str]) -> Iterator[FaultProxy]:
    """A web server of the corpus, from which the settings now read; what it does may be changed."""
    folder, name = os.path.split(flags[3])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    with served(server), served(proxy := FaultProxy(server.server_port, lambda *_: "none")):
        flags[3] = f"{proxy.url}/{name}"
        yield proxy


@pytest.mark.slow
def test_a_web_server_that_falls_silent_within_a_file(
    flags: list[str],
    half_served: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = undisturbed(flags, tmp_path)
    half_served.schedule = lambda method, name, _: "stalled" if method == "GET" else "none"
    monkeypatch.setattr("noisebeam.transforms.io.timeouts.SHORTEST_DEADLINE", 3)
    assert main([*flags, "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"noisebeam: cannot read {flags[3]}: no answer in 4 seconds\n"
    half_served.schedule = lambda *_: "none"
    assert main([*flags, "--output", str(tmp_path / "out")]) == 0
    assert checksums(tmp_path / "out") == expected


@pytest.mark.slow
def test_a_shard_is_put_in_one_request(network: Cut) -> None:
    network.after(None)
    storage.publish("s3://corpora/large", bytes(110 * 2**20))
    assert network.passed == ["PUT large"]
