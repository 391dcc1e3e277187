"""What a client and the engine say to each other: one JSON object a line, `type` first, typed by these structs.

Unknown fields are ignored on both sides.
"""

import msgspec

from loralab_core.wire.requests import (
    VERSION,
    Attach,
    Cancel,
    Change,
    Generate,
    Hello,
    Load,
    Message,
    Pause,
    Peek,
    Request,
    Resume,
    Shutdown,
    Status,
    Stop,
    Train,
)
from loralab_core.wire.responses import (
    CUT,
    Batch,
    Done,
    EngineStatus,
    Failed,
    Generated,
    GenerationStarted,
    Loading,
    Piece,
    Response,
    RunEvent,
    Started,
)
from loralab_core.wire.sampling import Sampling, check_sampling

__all__ = [
    "CUT",
    "VERSION",
    "Attach",
    "Batch",
    "Cancel",
    "Change",
    "Done",
    "EngineStatus",
    "Failed",
    "Generate",
    "Generated",
    "GenerationStarted",
    "Hello",
    "Load",
    "Loading",
    "Message",
    "Pause",
    "Peek",
    "Piece",
    "Request",
    "Response",
    "Resume",
    "RunEvent",
    "Sampling",
    "Shutdown",
    "Started",
    "Status",
    "Stop",
    "Train",
    "check_sampling",
    "decode_request",
    "decode_response",
    "encode",
]

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
