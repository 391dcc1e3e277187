"""The run being trained in this engine, and who follows it."""

import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from loralab_core.engine.server import Connection, Server
from loralab_core.errors import BadInput, LoraLabError
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run, open_run
from loralab_core.runs.events import Event, EventLog, read
from loralab_core.runs.owner import claim, release
from loralab_core.training.loop import TICK, Training
from loralab_core.wire.messages import Attach, Done, Pause, Resume, RunEvent, Started, Stop, Train


class RunHost:
    """At most one run at a time. `turn()` trains one micro-batch; everything else is quick."""

    def __init__(self, server: Server, model: Callable[[], LoadedModel]):
        self.server, self.model = server, model
        self.training: Training | None = None
        self.paused = False
        self.last_turn_s = 0.0
        self.waiting: tuple[RunDirectory, int | None] | None = None  # accepted, its model not read yet
        self._events: Iterator[Event] = iter(())
        self._followers: dict[str, set[Connection]] = {}
        self._to_tell: list[tuple[Connection, int]] = []  # who asked for the stop

    @property
    def is_moving(self) -> bool:
        return self.waiting is not None or (self.training is not None and not self.paused)

    # ---- requests

    def train(self, client: Connection, request: Train) -> None:
        self._expect_free()
        run = create_run(config_from(request.config), request.asked)
        self._begin(client, request.id, run, None)

    def resume(self, client: Connection, request: Resume) -> None:
        run = open_run(Path(request.run))
        if self.training and self.training.run == run:
            raise BadInput(f"{run.path} is being trained; `loralab attach {run.path}` follows it")
        self._expect_free()
        self._begin(client, request.id, run, request.steps)

    def _expect_free(self) -> None:
        busy = self.training.run if self.training else self.waiting[0] if self.waiting else None
        if busy is not None:
            raise BadInput(
                f"this model is being trained already, in {busy.path}: `loralab attach {busy.path}` follows that run, "
                f"`loralab stop {busy.path}` ends it"
            )

    def _begin(self, client: Connection, number: int, run: RunDirectory, steps: int | None) -> None:
        import os

        claim(run)
        self._follow(client, run)
        self.waiting = (run, steps)
        self.server.send(client, Started(id=number, run=str(run.path), pid=os.getpid()))

    def attach(self, client: Connection, request: Attach) -> None:
        run = open_run(Path(request.run))
        for event in read(run.events_path, request.since_seq):
            self.server.send(client, RunEvent(run=str(run.path), event=event))
        self._follow(client, run)
        self.server.send(client, Done(id=request.id))

    def stop_run(self, client: Connection, request: Stop) -> None:
        self._expect(request.run)
        self._to_tell.append((client, request.id))
        self.stop("stopped by the user")

    def pause(self, client: Connection, request: Pause) -> None:
        self._expect(request.run)
        if self.training and request.paused != self.paused:
            self.paused = request.paused
            self._publish(self.training.note("paused" if request.paused else "continued"))
        self.server.send(client, Done(id=request.id))

    def _expect(self, path: str) -> None:
        run = open_run(Path(path))
        if not (self.training and self.training.run == run) and not (self.waiting and self.waiting[0] == run):
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

    def _publish(self, event: Event) -> None:
        run = event["run"] if "run" in event else str(self.training.run.path) if self.training else ""
        for client in tuple(self._followers.get(run, ())):
            self.server.send(client, RunEvent(run=run, event=event))

    # ---- the run

    def turn(self) -> None:
        """One micro-batch, one piece of an evaluation, or the reading of the model."""
        if self.waiting:
            self._open(*self.waiting)
        if self.training is None or self.paused:
            return
        began = time.perf_counter()
        try:
            event = next(self._events)
        except StopIteration:
            self._end()
            return
        except LoraLabError:
            self._end()  # it was an event already
            return
        except Exception:
            traceback.print_exc()
            self._end()
            return
        self.last_turn_s = time.perf_counter() - began
        if event is not TICK:
            self._publish(event)

    def _open(self, run: RunDirectory, steps: int | None) -> None:
        try:
            lm = self.model()
            self.training = Training(run, lm, steps)
            self._events = self.training.events()
        except Exception as error:
            if not isinstance(error, LoraLabError):
                traceback.print_exc()
            kind = error.kind if isinstance(error, LoraLabError) else "failed"
            self._close_unstarted(run, "failed", str(error), kind)
        finally:
            self.waiting = None

    def _close_unstarted(self, run: RunDirectory, kind: str, why: str, error_kind: str = "") -> None:
        """The last event of a run whose model could not even be read."""
        log = EventLog(run.events_path)
        event: Event = {"event": kind, "run": str(run.path), "adapter": None, "steps": 0, "tokens": 0, "seconds": 0.0}
        event |= {"peak_memory_bytes": 0, "why": why} | ({"kind": error_kind} if error_kind else {})
        self._publish(log.append(event))
        log.close()
        release(run)
        self._tell_stopped()

    def _end(self) -> None:
        self.training, self._events, self.last_turn_s = None, iter(()), 0.0
        self._tell_stopped()

    def _tell_stopped(self) -> None:
        for client, number in self._to_tell:
            self.server.send(client, Done(id=number))
        self._to_tell.clear()
