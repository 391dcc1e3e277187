"""The wire's words: one line each, typed, tolerant of what newer versions add."""

import math

import msgspec
import pytest

from loralab_core.wire.messages import Batch, Generate, RunEvent, Status, Train, decode_request, decode_response, encode


def test_one_line_that_reads_back_the_same() -> None:
    request = Train(id=3, config={"model": "/m\n", "corpus": ["/ü"]}, asked={"rank": 4})
    line = encode(request)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and decode_request(line) == request


def test_pieces_of_a_batch_come_back_as_pairs() -> None:
    batch = Batch(id=1, step=7, rows=[[("What is it?", False), ("A cat.", True)]])
    assert decode_response(encode(batch)) == batch


def test_numbers_that_json_lacks_become_null() -> None:
    response = decode_response(encode(RunEvent(run="/r", event={"event": "step", "loss": math.nan})))
    assert isinstance(response, RunEvent) and response.event["loss"] is None


def test_unknown_fields_are_ignored() -> None:
    assert decode_request(b'{"type":"status","id":1,"from_the_future":true}') == Status(id=1)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"type":"unheard"}', b'{"type":"generate"}', b"\xff\xfe"])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_request(line)


def test_defaults_stay_off_the_wire() -> None:
    assert encode(Generate(id=1, prompt="x")) == b'{"type":"generate","id":1,"prompt":"x"}\n'
