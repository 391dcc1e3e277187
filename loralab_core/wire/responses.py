"""What the engine says: answers to requests, progress and events."""

from typing import Any, Literal

from loralab_core.wire.requests import Hello, Message

CUT = ("length", "cancelled")
"""How an answer ends that the model would have gone on with, and can."""


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
    """Progress of opening the base model; sent to every client until `done` equals `total` (bytes).

    0 of 1 is work whose size is not known. Both are 0 where the reading was abandoned or failed.
    """

    done: int
    total: int
    what: str


class GenerationStarted(Message, tag="generation_started"):
    """The prompt was read. `step`: how far the adapter was trained (None: base, or an adapter that does not say).

    `begun`: the answer's beginning as the model read it, where it goes on from one; templates trim white space.
    """

    id: int
    step: int | None = None
    prompt_tokens: int = 0
    begun: str = ""


class Piece(Message, tag="piece"):
    id: int
    text: str


class Generated(Message, tag="generated"):
    """An answer has ended. `text`: all its pieces, which begin behind what the answer goes on from."""

    id: int
    text: str
    step: int | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0
    tokens_per_s: float = 0.0
    first_token_s: float = 0.0  # from the request's arrival
    finish: Literal["eos", "stop", "length", "context", "cancelled"] = "eos"


class Batch(Message, tag="batch"):
    """Windows of the batch trained last: each a list of (text, whether it is trained on), in order."""

    id: int
    step: int
    rows: list[list[tuple[str, bool]]]


class EngineStatus(Message, tag="engine_status"):
    id: int
    pid: int
    model: str
    base: str
    device: str
    loaded: bool
    chat_template: Literal["own", "plain"] = "plain"  # this and the next two also before it is loaded
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


Response = (
    Hello | Started | Done | RunEvent | Loading | GenerationStarted | Piece | Generated | Batch | EngineStatus | Failed
)
