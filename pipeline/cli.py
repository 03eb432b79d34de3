"""The command line: `noisebeam build`, `inspect`, `stats`, `verify`.

Exit status: 0 for success; 1 for a build with too many bad records, or a verification that found
differences; 2 for wrong settings, unreadable files, or a failing disk or network, with one line.
"""

from __future__ import annotations

import argparse
import builtins
import logging
import re
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from noisebeam.pipeline.builder.flags import add_arguments, read_build
from noisebeam.transforms.errors import did_you_mean, one_line
from noisebeam.transforms.printable import printable

_EXAMPLES = """\
examples:
  noisebeam build --input 'corpus/*.jsonl.gz' --output shards --tokenizer facebook/bart-base \\
      --recipe bart --seed 17 --direct_running_mode=multi_processing --direct_num_workers=4
  noisebeam build --config build.yaml --dry-run
  noisebeam build --config build.yaml --runner=SparkRunner --spark_master_url='local[4]'

Flags that are not listed here go to Beam: --runner, --direct_num_workers and all others.
Exit status: 0 all well; 1 too many bad records; 2 wrong settings; files, disk or network that fail.
"""

_BEAM_STEP = re.compile(r" \[while running '[^']*'\]")  # what Beam adds to the error of a worker
_BROKEN_CALL = re.compile(
    r"RPC that terminated with:\s+status = StatusCode\.(\w+)\s+details = (.*?)\s+debug_error", re.S
)
# before the text of an error that has come from another process
_KIND = re.compile(r"(?:\w+\.)*(\w+Error): ")


_INVALID_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")


class _Parser(argparse.ArgumentParser):
    """Parser that suggests the closest command for an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Print an error of the command line and exit with status 2."""
        if found := _INVALID_CHOICE.search(message):
            message += did_you_mean(found[1], re.findall(r"'(\w+)'", found[2]))
        super().error(message)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formatter of help texts, at most 100 columns wide."""

    def __init__(self, prog: str) -> None:
        super().__init__(
            prog, max_help_position=30, width=min(100, shutil.get_terminal_size((100, 24)).columns)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the command line and return its exit status.

    `arguments` are those after the program name; None takes them from `sys.argv`. Errors of users,
    files and networks are printed in one line.
    """
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    if rest and known.command != "build":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    logging.basicConfig(
        level=logging.INFO if known.verbose else logging.CRITICAL,
        format="%(levelname)s %(message)s",
    )
    logging.getLogger("huggingface_hub").propagate = False  # it prints its own warnings
    try:
        return int(known.run(known, rest))
    except (ValueError, OSError, IndexError) as error:
        return _tell(known, 2, one_line(error))
    except Exception as error:
        return _tell(known, *_error_of_worker(error))


def _error_of_worker(error: Exception) -> tuple[int, str]:
    """Return the exit status (1 or 2) and a text of one line for an error that a runner raised.

    The text is the last line of the error, which holds the error of the worker process.

    >>> _error_of_worker(RuntimeError("Traceback ...\\nOSError: cannot write: No space left"))
    (2, 'cannot write: No space left')

    A call between the processes of a runner that broke is told by its status, not by the last line
    of gRPC's text.

    >>> rpc = '<_Rendezvous of RPC that terminated with:\\n\\tstatus = StatusCode.UNKNOWN\\n'
    >>> rpc += '\\tdetails = "one\\ntwo"\\n'
    >>> _error_of_worker(RuntimeError(rpc + '\\tdebug_error_string = "..."\\n>'))
    (2, 'a connection within the runner broke: "one two" (UNKNOWN); -v shows where')
    """
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if broken := _BROKEN_CALL.findall(str(error)) if lines[-1] == ">" else []:
        status, details = broken[-1]
        return (
            2,
            f"a connection within the runner broke: {' '.join(details.split())} ({status}); -v "
            "shows where",
        )
    kind = _KIND.match(lines[-1])
    if len(lines) == 1 or kind is None:
        return 1, lines[-1]
    return 2 if issubclass(getattr(builtins, kind[1], Exception), OSError) else 1, lines[-1][
        kind.end() :
    ]


def _tell(known: argparse.Namespace, status: int, message: str) -> int:
    """Print an error message in one line and return `status`; with `--verbose`, raise the current
    error again.

    `known` has the parsed flags.
    """
    if known.verbose:
        raise
    print(f"noisebeam: {printable(_BEAM_STEP.sub('', message))}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("noisebeam", description="Denoising pre-training data from text corpora.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _Parser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", help="show logs, and where an error came from"
    )
    build = commands.add_parser(
        "build",
        parents=[common],
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
        usage=(
            "noisebeam build --input GLOB [GLOB ...] --output URL --tokenizer NAME "
            "[settings] [Beam flags]"
        ),
        description=(
            "Build shards from a corpus: documents, sentences, windows, samples, noise, "
            "WebDataset shards."
        ),
        help="build shards from a corpus",
        epilog=_EXAMPLES,
    )
    build.add_argument(
        "-q", "--quiet", action="store_true", help="show errors only: no progress, no summary"
    )
    build.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and show what would be built, no more",
    )
    add_arguments(build)
    build.set_defaults(run=_build)
    inspect = commands.add_parser("inspect", parents=[common], help="show a sample and its noise")
    inspect.add_argument("url", metavar="OUTPUT", help="folder or fsspec URL of a finished build")
    inspect.add_argument(
        "--sample", type=int, default=0, metavar="N", help="which sample (default: 0)"
    )
    inspect.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME",
        help="instead of the build's own; may be repeated",
    )
    inspect.add_argument(
        "--epoch", type=int, default=0, metavar="N", help="epoch of the noise (default: 0)"
    )
    inspect.add_argument(
        "--html", metavar="FILE", help="write one HTML file instead of showing it here"
    )
    inspect.set_defaults(run=_inspect)
    stats = commands.add_parser(
        "stats", parents=[common], help="show lengths, sentences, noise and padding of a build"
    )
    stats.add_argument("url", metavar="OUTPUT", help="folder or fsspec URL of a finished build")
    stats.add_argument(
        "--sample", type=int, default=16, metavar="N", help="shards to look into (default: 16)"
    )
    stats.add_argument(
        "--recipe", metavar="NAME", help="measure this noise instead of the build's own"
    )
    stats.add_argument(
        "--html", metavar="FILE", help="write one HTML file instead of showing it here"
    )
    stats.set_defaults(run=_stats)
    verify = commands.add_parser(
        "verify", parents=[common], help="recompute counts and checksums of a build"
    )
    verify.add_argument("url", metavar="OUTPUT", help="folder or fsspec URL of a finished build")
    verify.set_defaults(run=_verify)
    return parser


def _build(known: argparse.Namespace, beam_flags: Sequence[str]) -> int:
    options = read_build(known, beam_flags)
    if known.dry_run:
        from noisebeam.pipeline.builder.dry_run import dry_run

        print(printable("\n".join(dry_run(options))))
        return 0
    from noisebeam.pipeline.builder.build import build
    from noisebeam.pipeline.builder.subprocesses import ending_together
    from noisebeam.pipeline.builder.summary import print_result

    with ending_together():
        return print_result(
            options.output.url, build(options, beam_flags, known.quiet), known.quiet
        )


def _inspect(known: argparse.Namespace, _: Sequence[str]) -> int:
    from noisebeam.pipeline.inspect.inspect import inspect

    inspect(known.url, known.sample, known.recipe, epoch=known.epoch, html=known.html)
    return 0


def _stats(known: argparse.Namespace, _: Sequence[str]) -> int:
    from noisebeam.pipeline.inspect.html_page import check_page_file, write_page
    from noisebeam.pipeline.inspect.stats import measure
    from noisebeam.pipeline.inspect.stats_view import stats_to_html, stats_to_terminal

    if known.html is not None:
        check_page_file(known.html)
    stats = measure(known.url, known.sample, known.recipe)
    if known.html is not None:
        write_page(known.html, stats_to_html(stats))
    else:
        stats_to_terminal(Console(highlight=False), stats)
    return 0


def _verify(known: argparse.Namespace, _: Sequence[str]) -> int:
    from noisebeam.pipeline.inspect.verify import verify

    differences = verify(known.url)
    for difference in differences:
        print(printable(difference))
    print(
        f"{known.url}: {len(differences)} differences"
        if differences
        else f"{known.url}: no difference found"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
