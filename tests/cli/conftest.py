"""A model directory, a corpus, and an engine that plays runs without computing."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loralab_core.runs.config import TrainConfig, config_from
from loralab_core.runs.directory import RunDirectory, create_run, open_run
from loralab_core.runs.events import FINAL, EventLog, read
from loralab_core.runs.owner import claim, release
from loralab_core.wire.messages import (
    Attach,
    Cancel,
    Done,
    EngineStatus,
    Failed,
    Generate,
    Generated,
    GenerationStarted,
    Loading,
    Piece,
    Request,
    Resume,
    RunEvent,
    Started,
    Status,
    Stop,
    Train,
)
from loralab_core.wire.registry import describe, engine_key, register, socket_path
from tests.wire.fake_engine import FakeEngine, Send

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64,
    "hidden_act": "silu",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(LLAMA))
    return place


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    place = tmp_path / "verses.txt"
    place.write_text("to be or not to be\n" * 100)
    return place


@pytest.fixture
def run() -> RunDirectory:
    made = create_run(TrainConfig(model="/m", corpus=("/c.txt",), name="verses", steps=4))
    log = EventLog(made.events_path)
    log.append({"event": "step", "step": 2, "loss": 3.0, "tokens": 100})
    log.append({"event": "stopped"})
    log.close()
    made.adapter.mkdir()
    (made.adapter / "adapter_config.json").write_text("{}")
    return made


class Studio:
    """The fake engine's part: `steps` steps, or as many as it takes until somebody stops it."""

    def __init__(self, model: Path) -> None:
        self.steps: int | None = 3
        self.failure: str | None = None
        self.refusal: Failed | None = None
        self.ending: Any = "eos"  # of every answer
        self.asked: list[Request] = []
        self.clients: list[Send] = []
        self.stop = threading.Event()
        self.lock = threading.RLock()  # nothing comes between a run's history and what follows it, as in the engine
        key = engine_key(str(model), "fp32", "cpu")
        register(describe(key, model=str(model), base="fp32", device="cpu"))
        self.engine = FakeEngine(socket_path(key), self.answer)

    def answer(self, request: Request, send: Send) -> None:
        self.asked.append(request)
        if isinstance(request, Train | Resume):
            self._start(request, send)
        elif isinstance(request, Attach):
            with self.lock:
                for event in read(open_run(Path(request.run)).events_path, request.since_seq):
                    send(RunEvent(run=request.run, event=event))
                send(Done(id=request.id))
                self.clients.append(send)
        elif isinstance(request, Stop):
            self.stop.set()
            send(Done(id=request.id))
        elif isinstance(request, Status):
            send(EngineStatus(id=request.id, pid=1, model="/m", base="fp32", device="cpu", loaded=True, context=64))
        elif isinstance(request, Generate):
            threading.Thread(target=self._speak, args=(request, send), daemon=True).start()
        elif isinstance(request, Cancel):
            self.stop.set()

    def _start(self, request: Train | Resume, send: Send) -> None:
        if self.refusal:
            send(Failed(id=request.id, sentence=self.refusal.sentence, kind=self.refusal.kind))
            return
        is_new = isinstance(request, Train)
        run = create_run(config_from(request.config), request.asked) if is_new else open_run(Path(request.run))
        claim(run)
        self.clients.append(send)
        send(Started(id=request.id, run=str(run.path), pid=4711))
        threading.Thread(target=self._train, args=(run, not is_new), daemon=True).start()
        send(Loading(done=10, total=10, what="reading model"))

    def _train(self, run: RunDirectory, resumed: bool) -> None:
        log = EventLog(run.events_path)
        first = max((event["step"] for event in read(run.events_path) if event["event"] == "step"), default=0) + 1
        if resumed:
            self.log(run, log, {"event": "resumed", "step": first - 1})
        self.tell(run, {"event": "tokenizing", "done_bytes": 5, "total_bytes": 10, "rows": 1, "tokens": 2})
        self.log(run, log, {"event": "prepared", "steps": self.steps})
        step, last = first - 1, {"event": "done"}
        while self.steps is None or step < first - 1 + self.steps:
            step += 1
            self.log(run, log, {"event": "step", "step": step, "loss": 4.0 / step, "tokens": 8 * step})
            if self.steps is None:
                time.sleep(0.05)
            if self.stop.is_set() or self.failure:
                last = {"event": "stopped"} if self.stop.is_set() else {"event": "failed", "why": self.failure}
                break
        self.log(run, log, {"event": "eval", "step": step, "loss": 2.0, "perplexity": 7.39})
        self.log(run, log, {"event": "checkpoint", "step": step})
        common = {"run": str(run.path), "adapter": str(run.adapter), "steps": step, "tokens": 8 * step}
        run.adapter.mkdir(exist_ok=True)
        (run.adapter / "adapter_config.json").write_text("{}")
        with self.lock:
            final = log.append({**last, **common, "seconds": 1.0, "peak_memory_bytes": 1 << 20})
            release(run)
            self.tell(run, final)

    def log(self, run: RunDirectory, log: EventLog, event: dict[str, Any]) -> None:
        with self.lock:
            self.tell(run, log.append(event))

    def tell(self, run: RunDirectory, event: dict[str, Any]) -> None:
        for send in list(self.clients):
            try:
                send(RunEvent(run=str(run.path), event=event))
            except OSError:
                self.clients.remove(send)

    def _speak(self, request: Generate, send: Send) -> None:
        said = f"{request.speaker.rsplit('/', 1)[-1]} hears {len(request.messages or [])}"
        send(GenerationStarted(id=request.id, step=7 if request.speaker == "lora" else None))
        for word in said.split(" "):
            send(Piece(id=request.id, text=word + " "))
        send(Generated(id=request.id, text=said, finish=self.ending))


@pytest.fixture
def studio(model: Path) -> Iterator[Studio]:
    played = Studio(model)
    yield played
    played.stop.set()
    played.engine.die()


def wait_for_steps(run: RunDirectory, steps: int) -> None:
    deadline = time.monotonic() + 20
    while sum(event["event"] == "step" for event in read(run.events_path)) < steps:
        assert time.monotonic() < deadline, "the run does not move"
        time.sleep(0.02)


def has_ended(run: RunDirectory) -> bool:
    events = read(run.events_path)
    return bool(events) and events[-1]["event"] in FINAL
