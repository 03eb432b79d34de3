"""The program of the Flex Template's launcher: a job's parameters become flags of `noisebeam
build`.

The launcher passes parameters by the names of the settings (`--max_tokens=512`), always with a
value (`--overwrite=true`). An empty parameter counts as not given. All other flags go to Beam.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from noisebeam.pipeline.builder.options import SettingsError, build_settings, flag_of
from noisebeam.pipeline.cli import main

IMAGE_VARIABLE = "NOISEBEAM_IMAGE"


def to_flags(arguments: Sequence[str]) -> list[str]:
    """Return the flags of `noisebeam build` for the parameters that Dataflow passes to the launcher
    of a Flex Template.

    >>> given = ["--input=gs://a/x gs://a/y", "--max_tokens=64", "--overwrite=true", "--stride="]
    >>> to_flags([*given, "--region=eu"])
    ['--input', 'gs://a/x', 'gs://a/y', '--max-tokens', '64', '--overwrite', '--region=eu']
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    settings = [one for one, _ in build_settings().values()]
    for setting in settings:
        parser.add_argument(f"--{setting.name}", default="")
    given, others = parser.parse_known_args(arguments)
    flags: list[str] = []
    for setting in settings:
        value = getattr(given, setting.name).strip()
        flag = flag_of(setting.name)
        if setting.type == "bool":
            flags += [flag] if _is_true(setting.name, value) else []
        elif value:
            flags += [flag, *(value.split() if setting.type == "tuple[str, ...]" else [value])]
    return flags + others


def _is_true(name: str, value: str) -> bool:
    """Return True if a parameter of the template is true; raise SettingsError if it is neither
    true, false nor empty.
    """
    if value.lower() not in ("true", "false", ""):
        raise SettingsError(f"{name}: expected true or false, got {value!r}")
    return value.lower() == "true"


def launch(arguments: Sequence[str]) -> int:
    """Submit the Dataflow job that the launcher's arguments describe, and return the exit status.

    Workers run in the launcher's own image, unless a flag names another one.
    """
    try:
        flags, image = to_flags(arguments), os.environ.get(IMAGE_VARIABLE)
    except SettingsError as error:
        print(f"noisebeam: {error}", file=sys.stderr)
        return 2
    if image and not any(flag.startswith("--sdk_container_image") for flag in flags):
        flags.append(f"--sdk_container_image={image}")
    return main(["build", *flags])


if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
