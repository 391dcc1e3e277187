"""What a client and the engine say to each other: one JSON object a line, `type` first, typed by these structs.

A client's requests carry an `id` of its own choosing; every answer repeats it. `VERSION` changes when an old
reader would misunderstand; unknown fields are ignored on both sides.
"""

from typing import Any, Literal

import msgspec

VERSION = 1


class Message(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """Base of everything on the wire."""


# ---- client to engine -------------------------------------------------------------------------------------------


class Hello(Message, tag="hello"):
    """First line from either side."""

    version: int = VERSION
    pid: int = 0
    name: str = ""


class Train(Message, tag="train"):
    """Start a run. Replied by Started at once, or Failed; its events follow as RunEvent (the asker is attached)."""

    id: int
    config: dict[str, Any]  # TrainConfig as plain JSON types
    asked: dict[str, Any] = {}  # what the user typed, before presets and defaults


class Resume(Message, tag="resume"):
    """Continue a run from its last checkpoint, or extend a finished one to `steps`. Replied like Train."""

    id: int
    run: str  # absolute directory
    steps: int | None = None


class Attach(Message, tag="attach"):
    """Follow a run: its events with a `seq` above `since_seq`, then Done, then live ones as they happen."""

    id: int
    run: str
    since_seq: int = 0


class Stop(Message, tag="stop"):
    """Write a checkpoint and end the run. Replied by Done when it has ended."""

    id: int
    run: str


class Pause(Message, tag="pause"):
    """Hold (`paused=True`) or go on with the run, without ending it."""

    id: int
    run: str
    paused: bool = True


class Sampling(msgspec.Struct, kw_only=True, frozen=True):
    """How tokens are drawn. temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    seed: int = 0
    max_new_tokens: int = 256


class Generate(Message, tag="generate"):
    """Ask for an answer, by chat messages or by a text to continue (exactly one of the two).

    `speaker`: "base"; "lora" (the adapter of `run`: as it is being trained, or as it ended); or an adapter directory.
    With a `run`, the exchange is kept in its chat.jsonl.
    Replied by GenerationStarted, Pieces, then Generated or Failed.
    """

    id: int
    speaker: str = "base"
    run: str | None = None
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    sampling: Sampling = Sampling()


class Cancel(Message, tag="cancel"):
    """Stop the answer of request `target`, which then ends with Generated(finish="cancelled")."""

    id: int
    target: int


class Status(Message, tag="status"):
    """Ask what the engine is doing. Replied by EngineStatus."""

    id: int


class Shutdown(Message, tag="shutdown"):
    """Checkpoint and stop the run if there is one, then end the process. Replied by Done."""

    id: int


Request = Hello | Train | Resume | Attach | Stop | Pause | Generate | Cancel | Status | Shutdown

# ---- engine to client -------------------------------------------------------------------------------------------


class Started(Message, tag="started"):
    id: int
    run: str  # absolute directory
    pid: int


class Done(Message, tag="done"):
    id: int


class RunEvent(Message, tag="event"):
    """One event of a run as it stands in events.jsonl (`event`, `seq`, `time` …).

    Transient ones (`loading`, `tokenizing`: progress before step 1) have no `seq` and are not in the file.
    """

    run: str
    event: dict[str, Any]


class Loading(Message, tag="loading"):
    """Progress of opening the base model; sent to every client until `done` equals `total` (bytes)."""

    done: int
    total: int
    what: str


class GenerationStarted(Message, tag="generation_started"):
    """The prompt was read. `step`: the training step the adapter was pinned at (None: base, or not being trained)."""

    id: int
    step: int | None = None
    prompt_tokens: int = 0


class Piece(Message, tag="piece"):
    id: int
    text: str


class Generated(Message, tag="generated"):
    id: int
    text: str
    step: int | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0
    tokens_per_s: float = 0.0
    first_token_s: float = 0.0  # from the request's arrival
    finish: Literal["eos", "length", "context", "cancelled"] = "eos"


class EngineStatus(Message, tag="engine_status"):
    id: int
    pid: int
    model: str
    base: str
    device: str
    loaded: bool
    chat_template: Literal["own", "plain"] = "plain"
    context: int = 0  # tokens the model was made for
    parameters: int = 0
    run: str | None = None  # the run being trained now
    step: int = 0
    paused: bool = False
    queued: int = 0  # answers waiting
    clients: int = 0
    memory_bytes: int = 0


class Failed(Message, tag="failed"):
    """A request that cannot be done. `kind` "bad_input" maps to exit code 2; `sentence` is for the user."""

    id: int
    sentence: str
    kind: Literal["bad_input", "failed", "busy"] = "failed"


Response = Hello | Started | Done | RunEvent | Loading | GenerationStarted | Piece | Generated | EngineStatus | Failed

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_responses: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)


def encode(message: Message) -> bytes:
    """One line, newline included. NaN and infinities become null."""
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises msgspec.DecodeError (ValidationError is one) on anything else."""
    return _requests.decode(line)


def decode_response(line: bytes) -> Response:
    return _responses.decode(line)
