"""The engine's own thread: requests, answers and training take turns on one model.

Chat goes first: a question is read and begun between two micro-batches. Then training and the answer share the time,
half and half, so neither starves. With nothing to do the thread sleeps until a request comes.
"""

import os
import queue
import time
from pathlib import Path

from loralab_core.engine.answers import Answers
from loralab_core.engine.base_model import BaseModel, NotRead
from loralab_core.engine.refusal import refusal
from loralab_core.engine.run_host import RunHost
from loralab_core.engine.server import Connection, Departed, Server
from loralab_core.lora.loaded import LoadedModel
from loralab_core.training.memory import current_bytes
from loralab_core.wire.messages import (
    Attach,
    Cancel,
    Change,
    Done,
    EngineStatus,
    Failed,
    Generate,
    Load,
    Pause,
    Peek,
    Request,
    Resume,
    Shutdown,
    Status,
    Stop,
    Train,
)

IDLE_S = 600.0  # an engine nobody uses ends after this; LORALAB_ENGINE_IDLE_S overrides
REQUESTS_S = 0.05  # of a turn at most for requests, so that a flood of them does not hold up the run
IDLE_POLL_S = 0.25
READING_POLL_S = 0.02  # while everybody waits for the model
CHAT_SHARE = 1.0  # seconds of answering for each second of training, while both are under way


class Engine:
    def __init__(self, server: Server, model: str, base: str, device: str, full: bool):
        self.server, self.full = server, full
        self.base = BaseModel(Path(model), base, device, full, server.broadcast)
        self.runs = RunHost(server, self._model_for_run, full)
        self.answers = Answers(server, self.base.get, self.runs, self.base.hold if full else None)
        self.runs.make_room = self.answers.give_way
        self.loads: list[tuple[Connection, int]] = []  # who asked for the model to be read, and waits for it
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
            if not self._is_waited_for:
                self.base.nobody_waits()
        self._refuse_all("the engine was just ending; try again")
        for client, number in self.to_tell:
            self.server.send(client, Done(id=number))

    def _model_for_run(self) -> LoadedModel:
        return self.base.get_for_run(self.answers.speakers.forget)

    @property
    def _is_waited_for(self) -> bool:
        return bool(self.loads or self.answers.waiting or self.runs.waiting)

    def _work(self) -> None:
        self.base.look()
        self._tell_loaded()
        if self.answers.waiting:
            self.answers.turn(self.runs.last_turn_s * CHAT_SHARE if self.runs.is_moving else None)
        if self.full and self.answers.waiting:
            return  # these weights are the answer's: full tuning holds still while it is given
        self.runs.turn()

    def _tell_loaded(self) -> None:
        """Whoever asked for the model hears that it is there, or why it cannot be."""
        if not self.loads:
            return
        replies: list[EngineStatus | Failed]
        try:
            self.base.get()
            replies = [self._status(number) for _, number in self.loads]
        except NotRead:
            return
        except Exception as error:
            replies = [refusal(number, error) for _, number in self.loads]
        for (client, _), reply in zip(self.loads, replies, strict=True):
            self.server.send(client, reply)
        self.loads.clear()

    def _is_unused(self) -> bool:
        if self.server.clients or self.runs.is_busy or self._is_waited_for or self.base.is_being_read:
            self.idle_since = time.monotonic()
            return False
        return time.monotonic() - self.idle_since > self.idle_s

    def _refuse_all(self, why: str) -> None:
        self.answers.refuse_all(why)
        for client, number in self.loads:
            self.server.send(client, Failed(id=number, sentence=why))
        self.loads.clear()
        self.base.nobody_waits()
        while not self.server.inbox.empty():
            client, request = self.server.inbox.get()
            if not isinstance(request, Departed):
                self.server.send(client, Failed(id=getattr(request, "id", 0), sentence=why))

    def _take_requests(self) -> None:
        """What waits, as far as it is quick; with nothing else to do, sleep a moment for more."""
        until, patience = time.monotonic() + REQUESTS_S, self._patience()
        try:
            while time.monotonic() < until:
                client, request = self.server.inbox.get(patience > 0, patience)
                patience = 0.0
                self._answer(client, request)
        except queue.Empty:
            return

    def _patience(self) -> float:
        """Seconds to sleep for a request, 0 where there is work."""
        if self.base.is_being_read and not self.answers.speaking:  # a run is never moving then
            return READING_POLL_S
        return 0.0 if self._is_waited_for or self.runs.is_moving else IDLE_POLL_S

    def _answer(self, client: Connection, request: Request | Departed) -> None:
        if isinstance(request, Departed):
            self.answers.forget(client)
            self.runs.forget(client)
            self.loads = [load for load in self.loads if load[0] is not client]
            return
        try:
            self._dispatch(client, request)
        except Exception as error:
            self.server.send(client, refusal(getattr(request, "id", 0), error))

    def _dispatch(self, client: Connection, request: Request) -> None:
        match request:
            case Load():
                self.loads.append((client, request.id))
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
            case Change():
                self.runs.change(client, request)
            case Peek():
                self.runs.peek(client, request)
            case Generate():
                self.answers.ask(client, request)
            case Cancel():
                self.answers.cancel(client, request.target)
                self._cancel_load(client, request.target)
            case Status():
                self.server.send(client, self._status(request.id))
            case Shutdown():
                self.to_tell.append((client, request.id))
                self.leave("the engine was told to end")

    def _cancel_load(self, client: Connection, number: int) -> None:
        if (client, number) in self.loads:
            self.loads.remove((client, number))
            self.server.send(client, Failed(id=number, sentence="reading the model was cancelled"))

    def _status(self, number: int) -> EngineStatus:
        lm, training, facts = self.base.lm, self.runs.training, self.base.facts()
        return EngineStatus(
            id=number,
            pid=os.getpid(),
            model=str(self.base.directory),
            base=self.base.base,
            device=self.base.device,
            loaded=lm is not None,
            chat_template=facts.chat_template,
            context=facts.context,
            parameters=facts.parameters,
            run=str(self.runs.run.path) if self.runs.run else None,
            step=training.step if training else 0,
            paused=self.runs.paused,
            queued=self.answers.count,
            clients=len(self.server.clients),
            memory_bytes=current_bytes(lm.device) if lm else 0,
        )
