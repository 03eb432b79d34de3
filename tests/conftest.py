"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("noisebeam", deadline=None)
settings.load_profile("noisebeam")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public data files: NOISEBEAM_SHARED, or `../shared` beside the repository."""
    folder = Path(os.environ.get("NOISEBEAM_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set NOISEBEAM_SHARED")
    return folder
