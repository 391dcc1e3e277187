"""What both clients share: the engine's hello, its answers as results or errors, and sentences for lost connections."""

from pathlib import Path

import msgspec

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.wire.messages import (
    VERSION,
    Batch,
    Done,
    EngineStatus,
    Failed,
    Hello,
    Message,
    Response,
    Started,
    decode_response,
)
from loralab_core.wire.registry import log_of

HELLO_TIMEOUT_S = 10.0
LINE_LIMIT = 1 << 26  # bytes; an event is some hundred, an answer some thousand

Reply = Started | Done | EngineStatus | Batch


class EngineGone(LoraLabError):
    """The connection ended although the client did not want it to."""


class EngineFrozen(EngineGone):
    """A process has the socket but does not speak: stopped, or stuck."""


def expect_reply(response: Response) -> Reply:
    """`response` as the end of a simple request; the error it stands for if it is Failed."""
    if isinstance(response, Failed):
        raise BadInput(response.sentence) if response.kind == "bad_input" else LoraLabError(response.sentence)
    if isinstance(response, Started | Done | EngineStatus | Batch):
        return response
    raise TypeError(f"{type(response).__name__} does not answer this request")


class OtherVersion(LoraLabError):
    """The engine was started by a LoRA Lab whose words are not ours."""


def check_hello(message: Message | None, path: Path, any_version: bool = False) -> Hello:
    if message is None:
        raise EngineGone(ended(path))
    if not isinstance(message, Hello):
        raise LoraLabError(f"{path} is not a LoRA Lab engine")
    if not any_version:
        check_version(message)
    return message


def check_version(message: Hello) -> None:
    if message.version != VERSION:
        raise OtherVersion(
            f"the running engine (pid {message.pid}) was started by another version of LoRA Lab (it speaks version "
            f"{message.version}, this program {VERSION}); wait until its run has ended, or end it with a checkpoint by "
            f"`kill {message.pid}`, after which `loralab resume RUN` goes on in this version"
        )


def understand(line: bytes, path: Path) -> Response:
    try:
        return decode_response(line)
    except msgspec.DecodeError as error:
        raise LoraLabError(f"the engine at {path} said something this version does not understand: {error}") from None


def ended(path: Path) -> str:
    log = log_of(path)
    return "the engine ended" + (f"; its log: {log}" if log else "")


def not_answering(path: Path, error: OSError) -> EngineGone:
    if isinstance(error, TimeoutError):
        advice = "if it stays so, end it with `kill -9` and go on with `loralab resume last`"
        return EngineFrozen(f"the engine at {path} does not answer; {advice}")
    return EngineGone(f"no engine answers at {path} ({error.strerror or error})")
