"""The engine's own thread: requests, answers and training take turns on one model.

Chat goes first: a question is read and begun between two micro-batches. Then training and the answer share the time,
half and half, so neither starves. With nothing to do the thread sleeps until a request comes.
"""

import os
import queue
import time
import traceback
from pathlib import Path

from loralab_core.architecture.counts import parameter_count
from loralab_core.engine.answers import Answers
from loralab_core.engine.run_host import RunHost
from loralab_core.engine.server import Connection, Departed, Server
from loralab_core.errors import BadInput, LoraLabError
from loralab_core.lora.loaded import LoadedModel, load
from loralab_core.models.loading import fill_decoder, fingerprint
from loralab_core.text.errors import Cancelled
from loralab_core.training.memory import current_bytes
from loralab_core.wire.messages import (
    Attach,
    Cancel,
    Done,
    EngineStatus,
    Failed,
    Generate,
    Loading,
    Pause,
    Request,
    Resume,
    Shutdown,
    Status,
    Stop,
    Train,
)

IDLE_S = 600.0  # an engine nobody uses ends after this; LORALAB_ENGINE_IDLE_S overrides
REQUESTS_S = 0.05  # of a turn at most for requests, so that a flood of them does not hold up the run
CHAT_SHARE = 1.0  # seconds of answering for each second of training, while both are under way


class Engine:
    def __init__(self, server: Server, model: str, base: str, device: str, full: bool):
        self.server, self.directory, self.base, self.device, self.full = server, Path(model), base, device, full
        self.lm: LoadedModel | None = None
        self.runs = RunHost(server, self.model_for_run)
        self.answers = Answers(server, self.model, self.runs, self.hold if full else None)
        self.read_as = ""  # fingerprint of the model's files when they were read
        self.held = ""  # fingerprint of the trained weights that were put in their place since
        self.leaving = ""  # why, once the engine was told to
        self.idle_s = float(os.environ.get("LORALAB_ENGINE_IDLE_S", IDLE_S))
        self.idle_since = time.monotonic()
        self.to_tell: list[tuple[Connection, int]] = []  # who asked for the shutdown

    def leave(self, why: str) -> None:
        """End at the next micro-batch, with a checkpoint. Only sets a flag: it is called in signal handlers."""
        self.leaving = why

    def serve(self) -> None:
        """Until nobody needs the engine any more, or it was told to leave."""
        while True:
            self._take_requests()
            if self.leaving:
                self.runs.stop(self.leaving)
            if (self.leaving and not self.runs.is_busy) or self._is_unused():
                break
            self._work()
        self._refuse_all("the engine was just ending; try again")
        for client, number in self.to_tell:
            self.server.send(client, Done(id=number))

    def _work(self) -> None:
        if self.answers.waiting:
            self.answers.turn(self.runs.last_turn_s * CHAT_SHARE if self.runs.is_moving else None)
        if self.full and self.answers.waiting:
            return  # these weights are the answer's: full tuning holds still while it is given
        self.runs.turn()

    def _is_unused(self) -> bool:
        if self.server.clients or self.runs.is_busy or self.answers.waiting:
            self.idle_since = time.monotonic()
            return False
        return time.monotonic() - self.idle_since > self.idle_s

    def _refuse_all(self, why: str) -> None:
        self.answers.refuse_all(why)
        while not self.server.inbox.empty():
            client, request = self.server.inbox.get()
            if not isinstance(request, Departed):
                self.server.send(client, Failed(id=getattr(request, "id", 0), sentence=why))

    def _take_requests(self) -> None:
        """What waits, as far as it is quick; with nothing else to do, sleep up to a quarter of a second for more."""
        until = time.monotonic() + REQUESTS_S
        idle = not self.answers.waiting and not self.runs.is_moving
        try:
            while time.monotonic() < until:
                client, request = self.server.inbox.get(timeout=0.25) if idle else self.server.inbox.get_nowait()
                idle = False
                self._answer(client, request)
        except queue.Empty:
            return

    def _answer(self, client: Connection, request: Request | Departed) -> None:
        if isinstance(request, Departed):
            self.answers.forget(client)
            self.runs.forget(client)
            return
        number = getattr(request, "id", 0)
        try:
            self._dispatch(client, request)
        except BadInput as error:
            self.server.send(client, Failed(id=number, sentence=str(error), kind="bad_input"))
        except LoraLabError as error:
            self.server.send(client, Failed(id=number, sentence=str(error)))
        except Exception as error:
            traceback.print_exc()
            sentence = f"the engine could not do this ({type(error).__name__}: {error}); its log has the details"
            self.server.send(client, Failed(id=number, sentence=sentence))

    def _dispatch(self, client: Connection, request: Request) -> None:
        match request:
            case Train():
                self.runs.train(client, request)
            case Resume():
                self.runs.resume(client, request)
            case Attach():
                self.runs.attach(client, request)
            case Stop():
                self.runs.stop_run(client, request)
            case Pause():
                self.runs.pause(client, request)
            case Generate():
                self.answers.ask(client, request)
            case Cancel():
                self.answers.cancel(client, request.target)
            case Status():
                self.server.send(client, self._status(request.id))
            case Shutdown():
                self.to_tell.append((client, request.id))
                self.leave("the engine was told to end")

    def _status(self, number: int) -> EngineStatus:
        lm, training = self.lm, self.runs.training
        return EngineStatus(
            id=number,
            pid=os.getpid(),
            model=str(self.directory),
            base=self.base,
            device=self.device,
            loaded=lm is not None,
            chat_template="own" if lm and lm.tokenizer and lm.tokenizer.has_template else "plain",
            context=lm.model.config.context if lm else 0,
            parameters=parameter_count(lm.model.config) if lm else 0,
            run=str(self.runs.run.path) if self.runs.run else None,
            step=training.step if training else 0,
            paused=self.runs.paused,
            queued=self.answers.count,
            clients=len(self.server.clients),
            memory_bytes=current_bytes(lm.device) if lm else 0,
        )

    def model(self) -> LoadedModel:
        """The base model, read at first use while every client is told how far it is."""
        if self.lm is None:
            last = 0.0

            def report(done: int, total: int, what: str) -> None:
                nonlocal last
                if self.leaving:
                    raise Cancelled(self.leaving)
                if done == total or time.monotonic() - last > 0.1:
                    last = time.monotonic()
                    self.server.broadcast(Loading(done=done, total=total, what=what))

            self.lm = load(self.directory, self.base, self.device, report)
            self.held = ""
            self.read_as = fingerprint(self.lm.directory)
        return self.lm

    def model_for_run(self) -> LoadedModel:
        """As `model`, but read again where its files have changed since, or where a run may have changed it."""
        if self.lm is not None and (self.full or fingerprint(self.lm.directory) != self.read_as):
            self.lm = None
            self.answers.forget_adapters()
        return self.model()

    def hold(self, place: Path) -> None:
        """Where all weights are trained: have the model in `place`, a result or a checkpoint, answer."""
        lm, wanted = self.model(), fingerprint(place)
        if wanted != self.held:
            self.held = ""
            fill_decoder(lm.model, place)
            self.held = wanted
