"""Builds in processes of their own on every runner, a Spark cluster, Prism, and the mishaps that
tests ask for.
"""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import apache_beam
import pytest
from support.marked_builds import MARK, Mishaps, Runs, marked_processes, wait_for
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing

from noisebeam.deploy.spark.cluster import Cluster, start_cluster
from noisebeam.deploy.spark.job_server import default_cache, find_job_server_jar

FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"
PRISM = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of all processes of these tests. At the end none of them may be left."""
    python_path = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    )
    folder = tmp_path_factory.mktemp("mishaps")
    environment = {
        **os.environ,
        "PYTHONPATH": python_path,
        "HOSTILE_FOLDER": str(folder),
        MARK: uuid4().hex,
    }
    yield environment
    wait_for(
        lambda: not marked_processes(environment), 90, f"the end of {marked_processes(environment)}"
    )


@pytest.fixture
def mishaps(environment: dict[str, str]) -> Iterator[Mishaps]:
    """The mishaps of this test's builds: none unless it asks for them."""
    mishaps = Mishaps(Path(environment["HOSTILE_FOLDER"]))
    mishaps.reset()
    yield mishaps
    mishaps.reset()


@pytest.fixture(scope="session")
def runs(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Builds of about 80 documents, 465 KB, and of copies of three, with baked noise, as four
    shards.
    """
    folder = tmp_path_factory.mktemp("corpus")
    topics = dict(sorted(pydoc_data.topics.topics.items()))
    lines = [json.dumps({"id": name, "text": text}) + "\n" for name, text in topics.items()]
    (folder / "a.jsonl").write_text("".join(lines[:40]), encoding="utf-8")
    (folder / "b.jsonl").write_text("".join([*lines[40:], *lines[:3] * 20]), encoding="utf-8")
    save_tokenizer(list(topics.values()), folder / "tokenizer")
    places = ("--input", str(folder / "*.jsonl"), "--tokenizer", str(folder / "tokenizer"))
    sizes = ("--max-tokens", "128", "--num-shards", "4", "--recipe", "bart", "--seed", "17")
    return Runs(
        (*places, *sizes, "--segmenter", "support.hostile_segmenter:segmenter"), environment
    )


def save_tokenizer(texts: Sequence[str], folder: Path) -> None:
    """Save a small byte-level BPE tokenizer that has BART's special tokens."""
    model = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    model.train_from_iterator(texts, vocab_size=2000, special_tokens=special, show_progress=False)
    model._tokenizer.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder.mkdir()
    model.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def expected(
    runs: Runs, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The files of the build on the in-memory DirectRunner, without mishaps."""
    Mishaps(Path(environment["HOSTILE_FOLDER"])).reset()
    files = runs(tmp_path_factory.mktemp("expected"))
    assert sum(name.endswith(".tar") for name in files) == 4
    return files


@pytest.fixture(scope="session")
def job_server_jar() -> Path:
    """The Spark job server, built if need be."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH: Spark cannot be tested")
    return find_job_server_jar()


@pytest.fixture(scope="session")
def local_spark(job_server_jar: Path) -> tuple[str, ...]:
    """Flags for Spark in one process, two tasks at a time."""
    return (
        "--runner=SparkRunner",
        "--spark_master_url=local[2]",
        f"--spark_job_server_jar={job_server_jar}",
    )


@pytest.fixture(scope="session")
def cluster(
    job_server_jar: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A Spark cluster of a master and two workers, each with its own pool of SDK workers."""
    folder = tmp_path_factory.mktemp("cluster")
    with start_cluster(folder, workers=2, jar=job_server_jar, environment=environment) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def prism() -> tuple[str, ...]:
    """Flags for Prism, which Go builds if need be."""
    program = build_with_go(PRISM, f"prism-{apache_beam.__version__}")
    return ("--runner=PrismRunner", f"--prism_location={program}")


@pytest.fixture(scope="session")
def fake_gcs_server() -> Path:
    """A Cloud Storage API server, which Go builds if need be."""
    return build_with_go(FAKE_GCS_SERVER, FAKE_GCS_SERVER.rpartition("/")[2].replace("@v", "-"))


def build_with_go(module: str, name: str) -> Path:
    """The program of a Go module, kept in the cache as `name`; without Go the test is skipped."""
    program = default_cache() / name
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            pytest.skip(f"go is not on PATH: {module} cannot be built")
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
            subprocess.run([go, "install", module], env=environment, check=True, timeout=600)
            next(Path(folder).iterdir()).rename(program)
    return program
