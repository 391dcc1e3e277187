"""The events file: numbered, readable whatever happened to its end, and never in the way of training."""

import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loralab_core.runs.events import EventLog, EventReader, live, read

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from loralab_core.runs.events import EventLog, read
path = Path(sys.argv[1])
log = EventLog(path)
log.append({"event": "step", "step": 1})
size = path.stat().st_size
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
for step in (2, 3):
    log.append({"event": "step", "step": step})
assert log.trouble and str(path) in log.trouble, log.trouble
assert path.stat().st_size == size, "a part of a line was left"
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.append({"event": "step", "step": 4})
assert not log.trouble
assert [e["step"] for e in read(path)] == [1, 2, 3, 4]
assert [e["seq"] for e in read(path)] == [1, 2, 3, 4]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def append(path: Path, *steps: int) -> None:
    log = EventLog(path)
    for step in steps:
        log.append({"event": "step", "step": step})
    log.close()


def test_numbers_and_dates_every_event(path: Path) -> None:
    logged = EventLog(path).append({"event": "step", "step": 1, "loss": 2.5})
    assert read(path) == [logged]
    assert logged["seq"] == 1 and logged["time"] > 1e9


def test_continues_the_numbering_when_opened_again(path: Path) -> None:
    append(path, 1, 2)
    append(path, 3)
    assert [event["seq"] for event in read(path)] == [1, 2, 3]
    assert [event["seq"] for event in read(path, since_seq=2)] == [3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_become_null(path: Path, value: float) -> None:
    assert EventLog(path).append({"event": "step", "step": 1, "loss": value})["loss"] is None
    assert read(path)[0]["loss"] is None


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_ignored_and_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "events.jsonl"
    append(path, 1, 2, 3)
    whole = path.read_bytes()
    last = len(whole) - whole[:-1].rfind(b"\n") - 1
    os.truncate(path, len(whole) - min(cut, last))
    assert [event["step"] for event in read(path)] == [1, 2]
    append(path, 4)
    assert [(event["step"], event["seq"]) for event in read(path)] == [(1, 1), (2, 2), (4, 3)]


def test_a_damaged_line_is_left_out_and_its_number_not_given_twice(path: Path) -> None:
    append(path, 1, 2)
    with path.open("ab") as file:
        file.write(b"\0\0\0\0\n")
    append(path, 3)
    assert [(event["step"], event["seq"]) for event in read(path)] == [(1, 1), (2, 2), (3, 3)]


def test_the_last_number_is_found_behind_a_line_longer_than_a_block(path: Path) -> None:
    log = EventLog(path)
    log.append({"event": "warning", "sentence": "x" * 200_000})
    log.close()
    append(path, 1)
    assert [event["seq"] for event in read(path)] == [1, 2]


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_what_a_full_disk_refuses_waits_and_follows_later(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_sees_only_complete_lines_as_the_file_grows(path: Path) -> None:
    reader = EventReader(path)
    assert reader.poll() == []
    append(path, 1)
    assert [event["step"] for event in reader.poll()] == [1]
    with path.open("ab") as file:
        file.write(b'{"event":"step","seq":2,')
        file.flush()
        assert reader.poll() == []
        file.write(b'"time":1.5,"step":2}\n')
    assert [event["step"] for event in reader.poll()] == [2]
    assert reader.poll() == []


def test_resuming_voids_what_came_after_that_step() -> None:
    def step(number: int, loss: float) -> dict[str, object]:
        return {"event": "step", "step": number, "loss": loss}

    history = [step(1, 5.0), step(2, 4.0), step(3, 3.0), {"event": "eval", "step": 3}, {"event": "warning", "step": 3}]
    history += [{"event": "resumed", "step": 1}, step(2, 4.5)]
    assert live(history) == [
        step(1, 5.0),
        {"event": "warning", "step": 3},
        {"event": "resumed", "step": 1},
        step(2, 4.5),
    ]
