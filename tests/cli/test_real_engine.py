"""The commands on the real engine and a small real model: train, interrupt, kill, resume, talk, export."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loralab_core.runs.directory import find_run
from loralab_core.wire.registry import list_engines
from tests.cli.conftest import has_ended, wait_for_steps

pytestmark = pytest.mark.xdist_group("real engine")  # one at a time: they would slow each other down


def start(*arguments: str, stdin: str | None = None) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "loralab_core.cli.main", *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    if stdin is not None and process.stdin is not None:
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
    return process


def finish(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


@pytest.fixture
def train(fixtures_dir: Path) -> list[str]:
    model, corpus = fixtures_dir / "models" / "stories3M", fixtures_dir / "corpora" / "the-verdict.txt"
    words = f"train --model {model} --corpus {corpus} --base fp32 --device cpu --threads 1 --seq-len 64 --batch 2"
    return [*words.split(), "--save-every", "2", "--val", "0.1", "--seed", "0"]


def test_a_run_from_the_command_line_to_an_exported_adapter(train: list[str], tmp_path: Path) -> None:
    out, _ = finish(start(*train, "--steps", "4", "--json"))
    events = [json.loads(line) for line in out.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    fields = {"event", "seq", "time", "step", "loss", "tokens", "tokens_per_s", "lr", "eta_s", "memory_bytes"}
    assert [step["step"] for step in steps] == [1, 2, 3, 4] and fields <= set(steps[0])
    last = events[-1]
    assert last["event"] == "done" and last["steps"] == 4 and last["tokens"] == steps[-1]["tokens"]
    assert {"run", "adapter", "seconds", "peak_memory_bytes"} <= set(last) and Path(last["adapter"]).is_dir()
    finish(start("runs", "export", "last", str(tmp_path / "out")))
    assert (tmp_path / "out" / "adapter_config.json").is_file()
    said, _ = finish(start("chat", "--run", "last", "--continue", "--max-new-tokens", "8", stdin="Once upon\n/quit\n"))
    assert said.strip()


def test_stopped_killed_and_resumed_it_is_still_one_run(train: list[str]) -> None:
    process = start(*train, "--steps", "400", "--json")
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "step":
        pass
    process.send_signal(signal.SIGINT)
    out, err = finish(process, 130)
    assert json.loads(out.splitlines()[-1])["event"] == "stopped" and "loralab resume" in err
    run = find_run("last")
    finish(start("resume", "last", "--detach"))
    wait_for_steps(run, 8)
    watcher = start("attach", "last", "--json")
    assert watcher.stdout is not None and json.loads(watcher.stdout.readline())["seq"] == 1
    (engine,) = list_engines()
    os.kill(engine.process.pid, signal.SIGKILL)
    _, err = finish(watcher, 1)
    assert "the engine ended" in err and not has_ended(run)
    listed, _ = finish(start("runs", "--json"))
    (summary,) = json.loads(listed)["runs"]
    assert summary["status"] == "interrupted" and summary["step"] >= 2
