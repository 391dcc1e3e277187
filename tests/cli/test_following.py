"""train, resume, attach, stop: the contract's lines and exit codes, and who may stop a run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loralab_core.cli.main import main
from loralab_core.runs.directory import RunDirectory, find_run, list_runs
from loralab_core.runs.owner import owner
from loralab_core.wire.messages import Attach, Failed, Resume, Train
from tests.cli.conftest import Studio, has_ended, wait_for_steps

Arguments = list[str]


@pytest.fixture
def train(model: Path, corpus: Path) -> Arguments:
    return ["train", "--model", str(model), "--corpus", str(corpus), "--base", "fp32", "--device", "cpu"]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def in_a_process(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "loralab_core.cli.main", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def running(studio: Studio) -> RunDirectory:
    deadline = time.monotonic() + 20
    while not any(isinstance(request, Train) for request in studio.asked):
        assert time.monotonic() < deadline, "nobody asked the engine to train"
        time.sleep(0.02)
    while not list_runs():
        assert time.monotonic() < deadline, "no run was made"
        time.sleep(0.02)
    run = find_run("last")
    wait_for_steps(run, 2)
    return run


def test_json_lines_end_with_done(studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*train, "--rank", "4", "--json"]) == 0
    events = lines(capsys.readouterr().out)
    assert [event["event"] for event in events] == ["prepared", "step", "step", "step", "eval", "checkpoint", "done"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6, 7]
    record = find_run("last").record()
    assert record.config["rank"] == 4 and record.asked["rank"] == 4 and "alpha" not in record.asked


def test_lines_for_a_person_on_stderr(studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    for sentence in ("validation loss 2.000, perplexity 7.39", "step 3: checkpoint saved", "finished after 3 steps"):
        assert sentence in printed.err


def test_detached_at_once(studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    studio.steps = None
    assert main([*train, "--detach", "--json"]) == 0
    run = find_run("last")
    assert lines(capsys.readouterr().out) == [{"event": "started", "run": str(run.path), "pid": 4711}]
    assert not has_ended(run)


def test_a_failed_run_exits_1_and_says_why_once(
    studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    studio.failure = "the disk is full"
    assert main(train) == 1
    assert capsys.readouterr().err.count("the disk is full") == 1


@pytest.mark.parametrize(("kind", "code"), [("bad_input", 2), ("busy", 1)])
def test_what_the_engine_refuses_is_one_line(
    studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str], kind: str, code: int
) -> None:
    studio.refusal = Failed(id=0, sentence="this engine trains\nanother run", kind=kind)  # type: ignore[arg-type]
    assert main(train) == code
    assert capsys.readouterr().err == "this engine trains another run\n"


def test_ctrl_c_stops_the_run_and_says_how_to_resume(studio: Studio, train: Arguments) -> None:
    studio.steps = None
    process = in_a_process(*train, "--json")
    run = running(studio)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert lines(out)[-1]["event"] == "stopped" and lines(out)[-2]["event"] == "checkpoint"
    assert f"loralab resume {run.path.name}" in err and "Traceback" not in err


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_client_stops_nothing(studio: Studio, train: Arguments, how: signal.Signals) -> None:
    studio.steps = None
    process = in_a_process(*train)
    run = running(studio)
    process.send_signal(how)
    process.communicate(timeout=20)
    wait_for_steps(run, 10)
    assert not has_ended(run)


def test_an_engine_that_dies_is_said_with_the_resume_command(studio: Studio, train: Arguments) -> None:
    studio.steps = None
    process = in_a_process(*train, "--json")
    run = running(studio)
    studio.engine.die()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "the engine ended" in err and f"loralab resume {run.path.name}" in err and "Traceback" not in err


def test_attach_replays_the_whole_curve_and_ctrl_c_only_leaves(studio: Studio, train: Arguments) -> None:
    studio.steps = None
    assert main([*train, "--detach"]) == 0
    run = find_run("last")
    wait_for_steps(run, 5)
    process = in_a_process("attach", "last", "--json")
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline()) for _ in range(8)]
    assert [event["seq"] for event in first] == [1, 2, 3, 4, 5, 6, 7, 8]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "the run goes on" in err
    assert not has_ended(run)


def test_an_ending_that_was_resumed_since_does_not_end_the_following(studio: Studio, train: Arguments) -> None:
    assert main([*train, "--json"]) == 0
    studio.steps = None
    assert main(["resume", "last", "--detach"]) == 0
    wait_for_steps(find_run("last"), 5)
    process = in_a_process("attach", "last", "--json")
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline())["event"] for _ in range(12)]
    assert first[6:10] == ["done", "resumed", "prepared", "step"]
    studio.stop.set()
    rest = process.stdout.read()  # communicate() would lose what readline() has fetched ahead
    assert process.wait(timeout=20) == 0 and lines(rest)[-1]["event"] == "stopped"


def test_attach_to_a_finished_run_replays_it(
    studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*train, "--json"])
    trained = capsys.readouterr().out
    assert main(["attach", "last", "--json"]) == 0
    assert capsys.readouterr().out == trained


def test_stop_writes_a_checkpoint_and_a_second_stop_says_so(
    studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    studio.steps = None
    main([*train, "--detach"])
    run = find_run("last")
    wait_for_steps(run, 2)
    assert main(["stop", "last"]) == 0
    while not has_ended(run) or owner(run) is not None:
        time.sleep(0.02)
    capsys.readouterr()
    assert main(["stop", "last"]) == 2
    assert "is not running (stopped)" in capsys.readouterr().err


def test_resume_continues_and_passes_the_new_length(
    studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*train, "--json"])
    capsys.readouterr()
    assert main(["resume", "last", "--steps", "6", "--json"]) == 0
    events = lines(capsys.readouterr().out)
    assert [event["event"] for event in events[:3]] == ["resumed", "prepared", "step"]
    assert next(asked.steps for asked in studio.asked if isinstance(asked, Resume)) == 6


def test_resuming_a_living_run_follows_it(studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    studio.steps = None
    main([*train, "--detach"])
    wait_for_steps(find_run("last"), 2)

    def stop_once_followed() -> None:
        while not any(isinstance(request, Attach) for request in studio.asked):
            time.sleep(0.02)
        studio.stop.set()

    threading.Thread(target=stop_once_followed, daemon=True).start()
    assert main(["resume", "last", "--json"]) == 0
    printed = capsys.readouterr()
    assert "is being trained already" in printed.err
    assert lines(printed.out.splitlines()[-1])[0]["event"] == "stopped"


def test_resume_without_its_model_names_it(
    studio: Studio, train: Arguments, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*train, "--json"])
    capsys.readouterr()
    os.rename(model, model.with_name("elsewhere"))
    assert main(["resume", "last"]) == 2
    assert str(model) in capsys.readouterr().err


def test_logs_are_dated_lines(studio: Studio, train: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    main([*train, "--json"])
    capsys.readouterr()
    assert main(["logs", "last"]) == 0
    assert "step 3: checkpoint saved" in capsys.readouterr().out
