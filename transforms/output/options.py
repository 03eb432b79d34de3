"""Settings of the output of a build."""

from __future__ import annotations

from dataclasses import dataclass

from noisebeam.transforms.data.settings import setting


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Settings of the output: where shards are written, how many, and what they contain.

    `num_shards` and `samples_per_member` (samples in a block) of None are chosen by the size of the
    corpus and of samples. `held_out` is the share of documents to keep out of training, 0 to less
    than 1. Raises ValueError for values out of range.
    """

    url: str = setting("folder or fsspec URL to write to", name="output", metavar="URL")
    num_shards: int | None = setting(
        "number of shards (default: one for 64 million tokens)", None, metavar="N"
    )
    held_out: float = setting(
        "share of the documents, by hashes of their ids, that goes to shards of its own",
        0.0,
        metavar="F",
    )
    samples_per_member: int | None = setting(
        "samples stored together; 1 is the classic WebDataset form "
        "(default: about half a million tokens)",
        None,
        metavar="N",
    )
    overwrite: bool = setting("replace a finished build", False)

    def __post_init__(self) -> None:
        shards, members = self.num_shards, self.samples_per_member
        for name, valid, expected, value in (
            ("output", bool(self.url.strip()), "a folder or URL", self.url),
            ("num_shards", shards is None or 0 < shards < 10**6, "1 to 999999", shards),
            ("held_out", 0 <= self.held_out < 1, "0 to less than 1", self.held_out),
            (
                "samples_per_member",
                members is None or 0 < members <= 65536,
                "1 to 65536",
                members,
            ),
        ):
            if not valid:
                raise ValueError(f"{name}: expected {expected}, got {value!r}")
