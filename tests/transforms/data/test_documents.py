"""Documents and dead letters as lines of JSON."""

from __future__ import annotations

import base64
import json

import pytest

from noisebeam.transforms.data.documents import DeadLetter


@pytest.mark.parametrize("record", [b"plain", '你\n"'.encode(), b"\xff\x00", b"", None])
def test_dead_letters_hold_the_record_whole_as_one_line(record: bytes | None) -> None:
    line = DeadLetter("s3://b/a.jsonl", 5, "why", record).to_json()
    fields = json.loads(line)
    if "record_base64" in fields:
        assert base64.b64decode(fields.pop("record_base64")) == record
    else:
        assert fields.pop("record") == (None if record is None else record.decode())
    assert "\n" not in line
    assert fields == {"source": "s3://b/a.jsonl", "position": 5, "reason": "why"}
