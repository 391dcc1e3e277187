"""An engine that another version of LoRA Lab started: ended where nobody needs it, left alone where anybody does.

Status and Shutdown mean the same in every version; nothing else is said to it.
"""

import time
from pathlib import Path

from loralab_core.errors import LoraLabError
from loralab_core.wire.client import Client
from loralab_core.wire.greeting import EngineFrozen, EngineGone, not_answering
from loralab_core.wire.messages import EngineStatus, Failed, Response, Shutdown, Status


def retire(socket: Path, timeout: float) -> str:
    """End the engine at `socket` and say so; nothing is said where it is just ending by itself.

    Raises LoraLabError, with the way round, where it trains or somebody is connected; it is left alone then.
    """
    try:
        with Client(socket, timeout=timeout, any_version=True) as client:
            return _retire(client, timeout)
    except EngineFrozen:
        raise
    except EngineGone:
        return ""


def _retire(client: Client, timeout: float) -> str:
    status, pid = _answer(client, Status(id=client.next_id()), timeout), client.engine.pid
    if isinstance(status, Failed) and status.kind == "bad_input":
        raise LoraLabError(
            f"an engine of another version of LoRA Lab (pid {pid}) has this model and does not say what it is doing; "
            f"end it by `kill {pid}`, a run it trains keeps its last checkpoint"
        )
    if not isinstance(status, EngineStatus):
        return ""
    _refuse_if_needed(status, pid)
    try:
        _answer(client, Shutdown(id=client.next_id()), timeout)
    except EngineFrozen:
        raise
    except EngineGone:  # before its answer was read
        pass
    return f"the idle engine of another version of LoRA Lab (pid {pid}) was ended; a new one takes its place"


def _refuse_if_needed(status: EngineStatus, pid: int) -> None:
    who = f"the engine for {status.model} (pid {pid}) was started by another version of LoRA Lab"
    if status.run:
        raise LoraLabError(
            f"{who} and trains {status.run}; wait until that has ended, or end it with a checkpoint by `kill {pid}`, "
            f"after which `loralab resume {status.run}` goes on in this version"
        )
    if status.clients or status.queued:
        raise LoraLabError(f"{who}, and another program is connected to it; close that one and try again")


def _answer(client: Client, request: Status | Shutdown, timeout: float) -> Response:
    client.send(request)
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        response = client.receive(left)
        if response is not None and getattr(response, "id", None) == request.id:
            return response
    raise not_answering(client.path, TimeoutError())
