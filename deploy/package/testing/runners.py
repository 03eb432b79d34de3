"""Laws that a build must obey on every runner."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from noisebeam.pipeline.builder.build import build
from noisebeam.pipeline.builder.options import BuildOptions
from noisebeam.testing.laws import no_error, require
from noisebeam.testing.texts import HARD_TEXTS, random_texts
from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.manifest import Manifest

_BAD_RECORDS = (b'{"id": "no text"}', b"{broken", b"\xff\xfe")


def check_runner(
    flags: Sequence[str], *, folder: str | None = None, documents: int = 60, seed: int = 0
) -> None:
    """Raise BrokenLawError if builds on a runner break a law.

    `flags` are the Beam flags of the runner, as `["--runner=MyRunner"]`. `folder` is an existing
    folder that all workers can read and write; by default a temporary folder of this machine. The
    input is `documents` random texts, some hard texts and three bad records.

    The laws: a build has the same files with the same bytes as on the DirectRunner, the list of bad
    records among them; a build with too many bad records ends with a Failure, writes
    `failure.json`, and leaves no manifest.

    >>> check_runner(["--runner=DirectRunner"], documents=5)
    """
    name = next((flag for flag in flags if flag.startswith("--runner")), "--runner=DirectRunner")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        Path(work, "documents.jsonl").write_bytes(_documents(seed, documents))
        Path(work, "tokenizer.json").write_text(_byte_tokenizer(), encoding="utf-8")
        given = f"{documents + len(HARD_TEXTS)} documents and {len(_BAD_RECORDS)} bad records"
        _build(work, "direct", [], max_bad_fraction=1)
        law = "a build with some bad records ends"
        with no_error(name, law, given):
            outcome = _build(work, "output", flags, max_bad_fraction=1)
        require(
            isinstance(outcome, Manifest), name, law, expected="Manifest", got=outcome, given=given
        )
        _check_files(name, Path(work, "direct"), Path(work, "output"), given)
        law = "a build with too many bad records fails"
        with no_error(name, law, given):
            outcome = _build(work, "failed", flags, max_bad_fraction=0)
        require(
            isinstance(outcome, Failure), name, law, expected="Failure", got=outcome, given=given
        )
        files = sorted(_files(Path(work, "failed")))
        lawful = "failure.json" in files and "manifest.json" not in files
        law = "a failed build writes failure.json and leaves no manifest"
        require(lawful, name, law, expected="failure.json", got=files, given=given)


def _build(
    work: str, output: str, flags: Sequence[str], max_bad_fraction: float
) -> Manifest | Failure | None:
    """Build `documents.jsonl` of the folder `work` into a folder there, and return the outcome.

    None if the runner did not wait for the end.
    """
    options = BuildOptions.of(
        input=(f"{work}/documents.jsonl",),
        output=f"{work}/{output}",
        tokenizer=f"{work}/tokenizer.json",
        max_bad_fraction=max_bad_fraction,
    )
    return build(options, flags, quiet=True).outcome


def _check_files(name: str, expected: Path, found: Path, given: str) -> None:
    """Raise BrokenLawError, for the runner called `name`, unless two folders have the same files
    with the same bytes.
    """
    wanted, files = _files(expected), _files(found)
    law = "the same files as on the DirectRunner"
    require(sorted(files) == sorted(wanted), name, law, expected=wanted, got=files, given=given)
    for file, content in wanted.items():
        law, same = f"the same bytes of {file}", files[file] == content
        require(same, name, law, expected=content, got=files[file], given=given)


def _files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder, by its path within the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _documents(seed: int, count: int) -> bytes:
    """Return JSON Lines for a test build: the hard texts, `count` random texts (blank ones left
    out), and after them some bad records.
    """
    texts = [text for text in (*HARD_TEXTS, *random_texts(seed, count)) if text.strip()]
    lines = [json.dumps({"id": f"d{i}", "text": text}).encode() for i, text in enumerate(texts)]
    return b"\n".join([*lines, *_BAD_RECORDS, b""])


def _byte_tokenizer() -> str:
    """Return the JSON of a tokenizer with one token for each byte, after the special tokens <s>,
    </s> and <pad>.
    """
    names = ["<s>", "</s>", "<pad>", *sorted(ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>"])
    return str(tokenizer.to_str())
