"""Progress: counts of all workers added up, lost datagrams made good, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from noisebeam.pipeline.builder.progress import (
    Tally,
    TrackProgress,
    describe,
    fraction_done,
    show_progress,
)
from noisebeam.pipeline.cli import main

counts = st.fixed_dictionaries(
    {"documents": st.integers(0, 10**9), "tokens": st.integers(0, 10**12)}
)


def datagram(sender: str, values: dict[str, int]) -> bytes:
    return json.dumps([sender, values]).encode()


@given(st.lists(st.tuples(st.sampled_from("abc"), counts, st.booleans()), max_size=20))
def test_the_latest_counts_of_each_sender_are_added_up_whatever_was_lost(
    sent: list[tuple[str, dict[str, int], bool]],
) -> None:
    tally, latest = Tally(), {}
    for sender, values, arrives in sent:
        if arrives:
            tally.receive(datagram(sender, values), now=1.0)
            latest[sender] = values
    for name in ("documents", "tokens"):
        assert tally.counts.get(name, 0) == sum(values[name] for values in latest.values())


@given(
    st.one_of(
        st.binary(max_size=40), st.text().map(str.encode), st.just(b'["a", {"documents": "x"}]')
    )
)
def test_other_peoples_datagrams_are_left_out(junk: bytes) -> None:
    tally = Tally()
    tally.receive(junk, now=1.0)
    assert tally.counts == {}


def test_the_time_left_is_known_where_all_is_read_first() -> None:
    found = {"bytes_read": 100, "bytes": 25, "documents": 1, "tokens": 5}
    assert fraction_done(found, read_first=True) == 0.25
    assert fraction_done(found, read_first=False) is None
    assert fraction_done({"bytes_read": 100}, read_first=True) is None
    assert describe(found, 10, 0.25).endswith("0:30 left")
    assert describe(found, 10, 1.0).endswith("writing shards")
    assert describe(found, 10, None).endswith("5 tokens")


def count_one(_: int) -> dict[str, int]:
    return {"documents": 1, "bytes": 2}


def test_elements_pass_unchanged_and_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(read_first=True, quiet=True) as port, beam.Pipeline() as pipeline:
        assert_that(
            pipeline | beam.Create([1, 2, 3]) | TrackProgress(port, count_one), equal_to([1, 2, 3])
        )
    assert capsys.readouterr().err == ""


def test_a_build_without_a_terminal_is_silent_until_its_summary(
    corpus: Path, tokenizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--tokenizer", tokenizer, "--max-tokens", "128", "--recipe", "bart", "--overwrite"]
    command = [
        "build",
        "--input",
        str(corpus / "corpus.jsonl"),
        "--output",
        str(tmp_path / "out"),
        *flags,
    ]
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0].startswith("20 documents, ")
    for part in (
        "tokens a sample: ",
        "padding: ",
        "MB of text a second",
        "work of all workers: read ",
    ):
        assert any(part in line for line in lines), part
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_sigterm_ends_a_build_with_its_workers_and_leaves_no_files(
    topics: dict[str, str], tokenizer: str, tmp_path: Path
) -> None:
    lines = (
        json.dumps({"id": f"{i} {name}", "text": text})
        for i in range(40)
        for name, text in topics.items()
    )
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "noisebeam.pipeline.cli", "build", "--tokenizer", tokenizer]
    command += ["--input", str(tmp_path / "corpus.jsonl"), "--output", str(tmp_path / "out")]
    command += ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    build = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/tokenizer").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(5)
    build.send_signal(signal.SIGTERM)
    assert build.wait(30) == -signal.SIGTERM
    assert not list((tmp_path / "tmp").glob("noisebeam*"))
    assert not list((tmp_path / "out").rglob("*.tmp"))
    deadline = time.monotonic() + 20
    while _alive(build.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(build.pid)


def _alive(group: int) -> bool:
    """Whether a process group has members that are not zombies."""
    listed = subprocess.run(
        ["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    return any(
        line.split()[0] == str(group) and "Z" not in line.split()[1] for line in listed.splitlines()
    )
