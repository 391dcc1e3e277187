"""The real engine on a model that is small enough to wait for, driven as users and the UI do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import FINAL, Event, read
from loralab_core.wire.client import Client
from loralab_core.wire.messages import Failed, Generate, Generated, GenerationStarted, Piece, Sampling
from loralab_core.wire.registry import EngineRecord, list_engines

PATIENCE_S = 60.0
LONG = 100_000  # steps: until it is stopped
WEIGHTS = "adapter_model.safetensors"


def wait_until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE_S) -> Any:
    """What `condition()` gives as soon as it is true."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s in vain for {what}"
        time.sleep(0.005)
    return found


# ---- commands


def start(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "loralab_core.cli.main", *arguments]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **({"stdin": subprocess.DEVNULL} | options))


def finish(process: "subprocess.Popen[str]", code: int = 0, stdin: str | None = None) -> tuple[str, str]:
    """(stdout, stderr) of a command that ends with `code`."""
    out, err = process.communicate(stdin, timeout=PATIENCE_S)
    assert process.returncode == code, f"exit code {process.returncode}\n{out[-2000:]}\n{err}"
    assert "Traceback" not in out + err
    return out, err


def loralab(*arguments: str, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
    options = {} if stdin is None else {"stdin": subprocess.PIPE}
    return finish(start(*arguments, **options), code, stdin)


def events_of(out: str) -> list[Event]:
    return [json.loads(line) for line in out.splitlines()]


def small_training(fixtures: Path, **options: object) -> list[str]:
    """`loralab train` of stories260K on one thread: a step takes some 20 ms. `options` replace settings."""
    settings: dict[str, object] = {
        "model": fixtures / "models" / "stories260K",
        "corpus": fixtures / "corpora" / "the-verdict.txt",
        "base": "fp32",
        "device": "cpu",
        "threads": 1,
        "seq_len": 32,
        "batch": 4,
        "micro_batch": 2,
        "dropout": 0.1,
        "schedule": "constant",
        "lr": 0.002,
        "val": 0,
        "save_every": 4,
        "steps": 12,
    } | options
    return ["train", *(f"--{key.replace('_', '-')}={value}" for key, value in settings.items())]


# ---- runs


def steps_of(run: RunDirectory) -> list[int]:
    return [event["step"] for event in read(run.events_path) if event["event"] == "step"]


def wait_for_step(run: RunDirectory, step: int) -> None:
    wait_until(lambda: step in steps_of(run), f"step {step} of {run.path}")


def ending_of(run: RunDirectory) -> Event | None:
    events = read(run.events_path)
    return events[-1] if events and events[-1]["event"] in FINAL else None


def wait_for_end(run: RunDirectory) -> Event:
    ended: Event = wait_until(lambda: ending_of(run), f"the end of {run.path}")
    return ended


def checkpointed(run: RunDirectory) -> int:
    """The step of the last checkpoint, which must be the last step made."""
    step = max(int(path.name.removeprefix("step-")) for path in run.checkpoints.iterdir())
    assert step == steps_of(run)[-1]
    return step


def detached(command: list[str]) -> RunDirectory:
    """Start a run and come back at once."""
    out, _ = loralab(*command, "--detach", "--json")
    return find_run(json.loads(out)["run"])


def weights(run: RunDirectory) -> bytes:
    return (run.adapter / WEIGHTS).read_bytes()


# ---- the engine


def the_engine() -> EngineRecord:
    (engine,) = list_engines()
    return engine


def connect() -> Client:
    return Client(Path(the_engine().socket))


def end_engine(how: signal.Signals) -> None:
    """Send a signal to the only engine and wait until its process has gone."""
    pid = the_engine().process.pid
    os.kill(pid, how)
    wait_until(lambda: is_gone(pid), f"the end of process {pid}")


def is_gone(pid: int) -> bool:
    """Dead; a zombie counts, because the tests' own process is not the one that waits for engines."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def frozen(process: "subprocess.Popen[str]") -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


# ---- answers


class Heard:
    """One answer as it came: every piece, and how it ended."""

    def __init__(self) -> None:
        self.started: GenerationStarted | None = None
        self.pieces: list[str] = []
        self.ended: Generated | None = None


def question(client: Client, prompt: str, *, speaker: str = "lora", tokens: int = 24) -> Generate:
    return Generate(
        id=client.next_id(), speaker=speaker, prompt=prompt, sampling=Sampling(temperature=0.0, max_new_tokens=tokens)
    )


def listen(client: Client, id: int, pieces: int | None = None) -> Heard:
    """Everything said to request `id`, to its end or until that many pieces came; only its own may come."""
    heard = Heard()
    while heard.ended is None and (pieces is None or len(heard.pieces) < pieces):
        response = client.receive(PATIENCE_S)
        assert response is not None, "no answer"
        assert not (isinstance(response, Failed) and response.id == id), response
        if isinstance(response, GenerationStarted | Piece | Generated):
            assert response.id == id, "an answer to somebody else"
        if isinstance(response, GenerationStarted):
            heard.started = response
        elif isinstance(response, Piece):
            heard.pieces.append(response.text)
        elif isinstance(response, Generated):
            heard.ended = response
    return heard


def ask(client: Client, prompt: str, **how: Any) -> Heard:
    request = question(client, prompt, **how)
    client.send(request)
    return listen(client, request.id)
