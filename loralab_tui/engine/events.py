"""What the engine's side tells the screen: one small message for each thing that can happen."""

from dataclasses import dataclass
from typing import Any

from textual.message import Message

from loralab_core.wire import messages as wire


@dataclass
class EngineOpening(Message):
    """An engine is being started or found; `what` says so in words."""

    what: str


@dataclass
class EngineLoading(Message):
    done: int
    total: int
    what: str


@dataclass
class EngineReady(Message):
    """Connected, with the first status."""

    status: wire.EngineStatus


@dataclass
class EngineReport(Message):
    """A later status: memory, queue, whether the model is loaded by now."""

    status: wire.EngineStatus


@dataclass
class ModelNotRead(Message):
    """The engine cannot read the model; it stays connected."""

    sentence: str


@dataclass
class EngineSilent(Message):
    """Connected, but nothing has been heard for `seconds`; 0 when it speaks again."""

    seconds: int


@dataclass
class EngineLost(Message):
    """The connection ended without our doing."""

    sentence: str


@dataclass
class RunStarted(Message):
    """The engine took a run on; its events follow."""

    run: str


@dataclass
class RunEvents(Message):
    """Events of one run in order; many at once when an old run is replayed."""

    run: str
    events: list[dict[str, Any]]


@dataclass
class AnswerBegun(Message):
    request: int
    step: int | None
    prompt_tokens: int = 0
    begun: str = ""  # as the model read it, where the answer goes on from there


@dataclass
class AnswerPiece(Message):
    request: int
    text: str


@dataclass
class AnswerDone(Message):
    request: int
    answer: wire.Generated


@dataclass
class AnswerFailed(Message):
    request: int
    sentence: str


def told_by(response: wire.Response) -> Message | None:
    """What a response says by itself, whatever was asked; None where it is for the one who asked alone."""
    match response:
        case wire.Loading(done=done, total=total, what=what):
            return EngineLoading(done, total, what)
        case wire.Started(run=run):
            return RunStarted(run)
        case wire.EngineStatus():
            return EngineReport(response)
        case wire.GenerationStarted(id=request, step=step, prompt_tokens=tokens, begun=begun):
            return AnswerBegun(request, step, tokens, begun)
        case wire.Piece(id=request, text=text):
            return AnswerPiece(request, text)
        case wire.Generated(id=request):
            return AnswerDone(request, response)
    return None
