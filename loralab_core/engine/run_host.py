"""The run being trained in this engine, and who follows it."""

import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from loralab_core.device_memory import give_back
from loralab_core.engine.base_model import NotRead
from loralab_core.engine.server import Connection, Server
from loralab_core.errors import BadInput, LoraLabError
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run, open_run
from loralab_core.runs.events import FINAL, Event, EventLog, read
from loralab_core.runs.owner import claim, release
from loralab_core.training.loop import Training
from loralab_core.training.report import failure_facts, so_far
from loralab_core.training.start import check_resumable
from loralab_core.training.tick import TICK
from loralab_core.wire.messages import Attach, Batch, Change, Done, Pause, Peek, Resume, RunEvent, Started, Stop, Train


class RunHost:
    """At most one run at a time. `turn()` trains one micro-batch; everything else is quick."""

    def __init__(self, server: Server, model: Callable[[], LoadedModel], full: bool):
        """`model` opens the base for a run: as its files are now. It may raise NotRead.

        `full`: runs train all of its weights.
        """
        self.server, self.model, self.full = server, model, full
        self.training: Training | None = None
        self.paused = False
        self.last_turn_s = 0.0
        self.make_room: Callable[[], bool] = lambda: False  # what else is in this process gives way to training
        self.waiting: tuple[RunDirectory, int | None] | None = None  # accepted, its model not read yet
        self._events: Iterator[Event] = iter(())
        self._followers: dict[str, set[Connection]] = {}
        self._to_tell: list[tuple[Connection, int]] = []  # who asked for the stop

    @property
    def run(self) -> RunDirectory | None:
        """The run being trained, or the accepted one whose model is still being read."""
        return self.training.run if self.training else self.waiting[0] if self.waiting else None

    @property
    def is_busy(self) -> bool:
        return self.waiting is not None or self.training is not None

    @property
    def is_moving(self) -> bool:
        return self.waiting is not None or (self.training is not None and not self.paused)

    @property
    def reserve(self) -> int:
        """Bytes of what is free that the run will need."""
        return self.training.reserve if self.training else 0

    # ---- requests

    def train(self, client: Connection, request: Train) -> None:
        config = config_from(request.config)
        self._expect_mode(config.mode)
        self._expect_free()
        run = create_run(config, request.asked)
        self._begin(client, request.id, run, None)

    def resume(self, client: Connection, request: Resume) -> None:
        run = open_run(Path(request.run))
        if self.training and self.training.run == run:
            raise BadInput(f"{run.path} is being trained; `loralab attach {run.path}` follows it")
        self._expect_mode(run.record().config.get("mode", "adapter"))
        self._expect_free()
        check_resumable(run, request.steps)  # refused here, nothing of the run is touched
        self._begin(client, request.id, run, request.steps)

    def _expect_free(self) -> None:
        if self.run is not None:
            busy = self.run.path
            raise BadInput(
                f"this model is being trained already, in {busy}: `loralab attach {busy}` follows that run, "
                f"`loralab stop {busy}` ends it"
            )

    def _expect_mode(self, mode: str) -> None:
        """Who trains all weights changes them for everybody, so that is done in an engine of the run's own."""
        if (mode == "full") != self.full:
            holds, other = ("one run's own weights", "an adapter") if self.full else ("a shared model", "all weights")
            raise BadInput(f"this engine holds {holds}; {other} must be trained in another one")

    def _begin(self, client: Connection, number: int, run: RunDirectory, steps: int | None) -> None:
        claim(run)
        self._follow(client, run)
        self.waiting = (run, steps)
        self.server.send(client, Started(id=number, run=str(run.path), pid=os.getpid()))

    def attach(self, client: Connection, request: Attach) -> None:
        run = open_run(Path(request.run))
        events = read(run.events_path, request.since_seq)
        if self.training and self.training.run == run:
            events += [event for event in self.training.log.unwritten() if event["seq"] > request.since_seq]
        self.server.send_history(client, (RunEvent(run=str(run.path), event=event) for event in events))
        self._follow(client, run)
        self.server.send(client, Done(id=request.id))

    def stop_run(self, client: Connection, request: Stop) -> None:
        self._expect(request.run)
        self._to_tell.append((client, request.id))
        self.stop("stopped by the user")

    def pause(self, client: Connection, request: Pause) -> None:
        self._expect(request.run)
        if request.paused != self.paused:
            self.paused = request.paused
            if self.training:
                self._publish(self.training.note("paused" if request.paused else "continued"))
        self.server.send(client, Done(id=request.id))

    def change(self, client: Connection, request: Change) -> None:
        self._publish(self._training(request.run).change(request.steps, request.lr))
        self.server.send(client, Done(id=request.id))

    def peek(self, client: Connection, request: Peek) -> None:
        step, rows = self._training(request.run).last_batch(request.rows)
        self.server.send(client, Batch(id=request.id, step=step, rows=rows))

    def _training(self, path: str) -> Training:
        self._expect(path)
        if self.training is None:
            raise BadInput(f"{path} is still being prepared; wait for its first step")
        return self.training

    def _expect(self, path: str) -> None:
        run = open_run(Path(path))
        if self.run != run:
            raise BadInput(f"{run.path} is not being trained in this engine")

    def stop(self, why: str) -> None:
        """End the run at its next micro-batch, with a checkpoint."""
        self.paused = False
        if self.training:
            self.training.stop(why)
        elif self.waiting:
            run, _ = self.waiting
            self.waiting = None
            self._close_unstarted(run, "stopped", why)

    # ---- followers

    def _follow(self, client: Connection, run: RunDirectory) -> None:
        self._followers.setdefault(str(run.path), set()).add(client)

    def forget(self, client: Connection) -> None:
        for followers in self._followers.values():
            followers.discard(client)
        self._followers = {run: followers for run, followers in self._followers.items() if followers}

    def _publish(self, event: Event) -> None:
        run = event["run"] if "run" in event else str(self.training.run.path) if self.training else ""
        for client in tuple(self._followers.get(run, ())):
            self.server.send(client, RunEvent(run=run, event=event))

    # ---- the run

    def turn(self) -> None:
        """One micro-batch, or one piece of an evaluation."""
        if self.waiting:
            self._open(*self.waiting)
        if self.training is None or self.paused:
            return
        began = time.perf_counter()
        run = str(self.training.run.path)
        try:
            event = next(self._events)
        except Exception as error:  # the loop makes an event of every failure, so this is a fault of the loop's own
            traceback.print_exc()
            event = {"event": "failed", "run": run, "why": f"{type(error).__name__}: {error}", "kind": "failed"}
        self.last_turn_s = time.perf_counter() - began
        if event["event"] in FINAL:
            self._end()  # first: who hears of the end finds the engine free
        if event is not TICK:
            self._publish({**event, "run": run} if event["event"] in FINAL else event)
        if event["event"] in FINAL:
            self._tell_stopped()

    def _open(self, run: RunDirectory, steps: int | None) -> None:
        try:
            lm = self.model()
            self.training = Training(run, lm, steps)
            self.training.make_room = self.make_room
            self._events = self.training.events()
            if self.paused:  # it was asked for before there was anything to hold
                self._publish(self.training.note("paused"))
            self.waiting = None
        except NotRead:
            return
        except Exception as error:
            if not isinstance(error, LoraLabError):
                traceback.print_exc()
            self._close_unstarted(run, "failed", str(error), failure_facts(error))

    def _close_unstarted(self, run: RunDirectory, kind: str, why: str, more: Event | None = None) -> None:
        """The last event of a run whose model could not even be read."""
        adapter = str(run.adapter) if run.adapter.is_dir() else None
        event: Event = {"event": kind, "run": str(run.path), "adapter": adapter, **so_far(run)}
        event |= {"peak_memory_bytes": 0, "why": why} | (more or {})
        try:
            log = EventLog(run.events_path)
            event = log.append(event)
            log.close()
        except OSError as error:  # then only those who listen learn of it
            print(f"{run.events_path} cannot be written: {error}")
        release(run)
        self.waiting, self.paused = None, False
        self._publish(event)
        self._tell_stopped()

    def _end(self) -> None:
        device = self.training.lm.device if self.training else None
        self.training, self.paused, self._events, self.last_turn_s = None, False, iter(()), 0.0
        if device is not None:
            give_back(device)  # a run that failed is held in a circle, by its error

    def _tell_stopped(self) -> None:
        for client, number in self._to_tell:
            self.server.send(client, Done(id=number))
        self._to_tell.clear()
