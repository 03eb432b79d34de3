"""The result of a build, as the summary at its end shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from noisebeam.transforms.output.finish import Failure
from noisebeam.transforms.output.manifest import Manifest


@dataclass(frozen=True)
class BuildResult:
    """Result of a build.

    `outcome` is the manifest of a finished build, the failure of a failed one, or None if the build
    was submitted without waiting for its end. `metrics` are Beam's counters and `distributions` its
    distributions, by name. `seconds` is the time from start to end, None if it is unknown.
    """

    outcome: Manifest | Failure | None
    metrics: Mapping[str, int]
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Distribution:
    """Sum, count, minimum and maximum of the numbers that workers reported under one name."""

    sum: int
    count: int
    least: int
    greatest: int
