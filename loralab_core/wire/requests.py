"""What a client asks of the engine. A request carries an `id` of its sender's choosing, which every answer repeats."""

from typing import Any, Literal

import msgspec

from loralab_core.wire.sampling import Sampling

VERSION = 4  # changes when one side would not understand the other: a new request, or one that means something else


class Message(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """Base of everything on the wire."""


class Hello(Message, tag="hello"):
    """First line from either side. `version` is always given: defaults stay off the wire, where 1 was the default."""

    version: int = 1
    pid: int = 0
    name: str = ""


class Load(Message, tag="load"):
    """Read the base model now instead of at first use. Replied by EngineStatus once it is read, or Failed.

    How far it is comes as Loading. `Cancel` with this id abandons the reading.
    """

    id: int


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


class Change(Message, tag="change"):
    """Change the run being trained, from its next step on. Replied by Done, or Failed where it does not fit."""

    id: int
    run: str
    steps: int | None = None  # in all
    lr: float | None = None  # the highest; the schedule goes on below it


class Peek(Message, tag="peek"):
    """Ask for the batch that was trained last. Replied by Batch; Failed while nothing has been trained yet."""

    id: int
    run: str
    rows: int = 4  # at most


class Generate(Message, tag="generate"):
    """Ask for an answer, by chat messages or by a text to continue (exactly one of the two).

    `speaker`: "base"; "lora" (the adapter of `run`: as it is being trained, or as it ended); or an adapter directory.
    `compute`: of products with quantised weights; "auto" leaves activations as they are.
    `continue_final_message`: the last of the messages is the beginning of the answer, which goes on from there.
    With a `run`, the exchange is kept in its chat.jsonl.
    Replied by GenerationStarted, Pieces, then Generated or Failed.
    """

    id: int
    speaker: str = "base"
    run: str | None = None
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    sampling: Sampling = Sampling()
    continue_final_message: bool = False
    compute: Literal["auto", "w4a16", "w4a8-grad", "w4a8"] = "auto"


class Cancel(Message, tag="cancel"):
    """Stop the answer of request `target`, which then ends with Generated(finish="cancelled").

    Where `target` is a Load, the reading is abandoned and the Load ends with Failed.
    """

    id: int
    target: int


class Status(Message, tag="status"):
    """Ask what the engine is doing. Replied by EngineStatus."""

    id: int


class Shutdown(Message, tag="shutdown"):
    """Checkpoint and stop the run if there is one, then end the process. Replied by Done."""

    id: int


Request = Hello | Load | Train | Resume | Attach | Stop | Pause | Change | Peek | Generate | Cancel | Status | Shutdown
