"""The terminal goes away, or stands still: the run does not notice, and another terminal sees all of it."""

import signal
import socket
from pathlib import Path

import pytest

from loralab_core.runs.directory import RunDirectory, find_run, list_runs
from loralab_core.wire.messages import Attach, EngineStatus, Hello, Status, encode
from tests.engine.driving import (
    connect,
    detached,
    ending_of,
    events_of,
    finish,
    frozen,
    loralab,
    small_training,
    start,
    steps_of,
    the_engine,
    wait_for_end,
    wait_for_step,
    wait_until,
)
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("faults")

STEPS = 40


def begun() -> RunDirectory:
    run: RunDirectory = wait_until(lambda: next((run for run, _ in list_runs() if not ending_of(run)), None), "a run")
    wait_for_step(run, 3)
    assert ending_of(run) is None
    return run


def whole_curve(run: RunDirectory) -> None:
    """`loralab attach` in another process tells everything from the first event to the last."""
    out, _ = loralab("attach", str(run.path), "--json")
    events = events_of(out)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, STEPS + 1))
    assert events[-1]["event"] == "done" and Path(events[-1]["adapter"]).is_dir()


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("output", ["--json", None])
def test_the_terminal_is_gone(how: signal.Signals, output: str | None, fixtures_dir: Path) -> None:
    client = start(*small_training(fixtures_dir, steps=STEPS), *filter(None, [output]), start_new_session=True)
    run = begun()
    client.send_signal(how)
    client.communicate()
    assert client.returncode == -how
    assert wait_for_end(run)["event"] == "done"
    whole_curve(run)


def test_the_terminal_is_frozen_in_the_middle_of_the_stream(fixtures_dir: Path) -> None:
    client = start(*small_training(fixtures_dir, steps=STEPS), "--json")
    run = begun()
    with frozen(client):
        assert wait_for_end(run)["event"] == "done"
        whole_curve(run)
    out, _ = finish(client)  # awake again, it has missed nothing
    assert [event["step"] for event in events_of(out) if event["event"] == "step"] == list(range(1, STEPS + 1))


def test_two_terminals_attach_while_it_runs(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=STEPS))
    wait_for_step(run, 3)
    watchers = [start("attach", "last", "--json") for _ in range(2)]
    told = [events_of(finish(watcher)[0]) for watcher in watchers]
    assert told[0] == told[1]
    assert [event["seq"] for event in told[0]] == list(range(1, len(told[0]) + 1))
    assert told[0][-1]["event"] == "done" and steps_of(run) == list(range(1, STEPS + 1))


def test_ctrl_c_while_attached_only_ends_the_looking(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=100_000, save_every=100_000))
    watcher = start("attach", "last", "--json")
    assert watcher.stdout is not None and watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    _, said = finish(watcher, 130)
    assert "the run goes on" in said and ending_of(run) is None
    loralab("stop", "last")
    assert wait_for_end(run)["event"] == "stopped"


def test_a_client_that_never_reads_is_dropped(fixtures_dir: Path) -> None:
    """It asks for a history again and again; others are served meanwhile, and the run goes on."""
    loralab(*small_training(fixtures_dir, steps=60))
    past = find_run("last")
    run = detached(small_training(fixtures_dir, steps=100_000, save_every=100_000))
    wait_for_step(run, 1)
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.connect(the_engine().socket)
    deaf.settimeout(60)
    deaf.sendall(encode(Hello(name="deaf")))
    with connect() as client:

        def clients() -> int:
            reply = client.ask(Status(id=client.next_id()))
            assert isinstance(reply, EngineStatus)
            return reply.clients

        wait_until(lambda: clients() == 2, "both clients")
        try:
            for number in range(2000):
                deaf.sendall(encode(Attach(id=number, run=str(past.path))))
        except OSError:
            pass  # dropped already
        wait_until(lambda: clients() == 1, "the end of the one that does not read")
        wait_for_step(run, steps_of(run)[-1] + 3)
    deaf.close()
    loralab("stop", str(run.path))


def test_what_is_not_understood_is_answered_and_harms_nobody(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=STEPS))
    wait_for_step(run, 1)
    rude = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    rude.connect(the_engine().socket)
    rude.settimeout(60)
    rude.sendall(b'{"type": "hello"}\n\xff\xfe\n{"type": "generate", "id": 7, "prompt": 3}\n')
    answers = rude.makefile("rb")
    said = [answers.readline() for _ in range(3)]
    assert b'"hello"' in said[0] and b"not understood" in said[1] and b'"id":7' in said[2]
    rude.close()  # in the middle of a line as well as at its end
    assert wait_for_end(run)["event"] == "done"
