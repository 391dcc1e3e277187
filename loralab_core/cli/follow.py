"""Following a run to its end: what `train`, `resume` and `attach` have in common."""

import time
from collections.abc import Callable

from loralab_core.cli.event_text import resume_hint, short_name
from loralab_core.cli.render import Renderer
from loralab_core.cli.terminal import INTERRUPTED, Interrupts
from loralab_core.errors import LoraLabError
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import FINAL, Event, EventReader
from loralab_core.runs.owner import owner
from loralab_core.wire.client import Client, EngineGone
from loralab_core.wire.greeting import expect_reply
from loralab_core.wire.messages import Done, Failed, Loading, Response, RunEvent, Started, Stop

POLL_S = 0.2


def follow_to_end(
    client: Client,
    run: RunDirectory,
    show: Renderer,
    interrupts: Interrupts,
    *,
    stops: bool,
    history: int | None = None,
) -> int:
    """Show events until the run ends; the exit code. The client is attached already.

    Ctrl-C stops the run where `stops`, and again leaves it to the engine; otherwise it only ends the looking.
    `history` is the id of an Attach whose Done is still to come: until then an ending may lie in the past.
    """
    asked_to_stop = 0
    last: Event | None = None
    named = not stops
    while True:
        response = _next(client, run)
        if interrupts.count > asked_to_stop:
            if not stops or asked_to_stop:
                show.note(f"the run goes on; `loralab attach {short_name(run)}` follows it")
                return INTERRUPTED
            asked_to_stop = interrupts.count
            client.send(Stop(id=client.next_id(), run=str(run.path)))
            show.note("stopping: a checkpoint is being written (Ctrl-C again leaves that to the engine)")
        if not named and isinstance(response, RunEvent) and response.event["event"] == "prepared":
            show.note(f"run {short_name(run)}")  # not earlier: one that cannot begin says why, and nothing else
            named = True
        last = show_response(response, run, show) or last
        if isinstance(response, Done) and response.id == history:
            history = None
            if owner(run) is not None:
                last = None  # it is being trained, so an ending lies in the past
        if history is None and last is not None and last["event"] in FINAL:
            return finish(last, run, show, interrupted=bool(asked_to_stop))


def wait_until_started(client: Client, id: int, show: Renderer, interrupts: Interrupts) -> Started:
    """The engine's answer to Train or Resume, showing how the model is opened meanwhile. Raises what it refuses.

    One Ctrl-C is left for the run itself, which is about to exist; a second one leaves at once.
    """
    while True:
        response = client.receive(POLL_S)
        if interrupts.count > 1:
            raise KeyboardInterrupt
        if isinstance(response, Loading):
            show.loading(response.done, response.total, response.what)
        elif response is not None and getattr(response, "id", None) == id:
            reply = expect_reply(response)
            if isinstance(reply, Started):
                return reply


def _next(client: Client, run: RunDirectory) -> Response | None:
    try:
        return client.receive(POLL_S)
    except EngineGone as gone:
        raise LoraLabError(f"{gone}; {resume_hint(run)}") from None


def show_response(response: Response | None, run: RunDirectory, show: Renderer) -> Event | None:
    """Shows one message; returns the event of this run that it carries."""
    if isinstance(response, Loading):
        show.loading(response.done, response.total, response.what)
    elif isinstance(response, Failed):
        show.note(response.sentence)
    elif isinstance(response, RunEvent) and response.run == str(run.path):
        show.event(response.event)
        return response.event
    return None


def finish(last: Event, run: RunDirectory, show: Renderer, *, interrupted: bool = False) -> int:
    """The exit code that belongs to a run's last event, with what to do next."""
    if last["event"] == "done":
        show.note(f"result: {last.get('model') or last.get('adapter') or run.path}")
        return 0
    if last["event"] == "stopped":
        show.note(resume_hint(run))
        return INTERRUPTED if interrupted else 0
    show.failure(last.get("why") or "no reason was given")
    return 2 if last.get("kind") == "bad_input" else 1


def follow_file(run: RunDirectory, show: Renderer, alive: Callable[[], bool] | None = None) -> int:
    """The same from the events file alone, for a run whose engine cannot be asked. Ends when its writer is gone."""
    is_alive = alive or (lambda: owner(run) is not None)
    reader = EventReader(run.events_path)
    last: Event | None = None
    with Interrupts().counted() as interrupts:
        while True:
            living = is_alive()  # before reading, so that its last words are not missed
            for event in reader.poll():
                show.event(event)
                last = event
            if not living and last is not None and last["event"] in FINAL:
                return finish(last, run, show)
            if not living:
                show.note(f"nothing is training this run any more; {resume_hint(run)}")
                return 1
            if interrupts.count:
                return INTERRUPTED
            time.sleep(POLL_S)
