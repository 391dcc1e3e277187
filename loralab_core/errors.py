"""The errors users see. Each carries one sentence: what happened, to which file, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any


class LoraLabError(Exception):
    """Something failed while working (exit code 1). The message is one sentence for the user."""

    exit_code = 1
    kind = "failed"


class BadInput(LoraLabError):
    """What was asked cannot be done as asked (exit code 2). The sentence names the file or option and the way round."""

    exit_code = 2
    kind = "bad_input"


class OutOfMemory(LoraLabError):
    """Memory could not be had. `remedies`: settings that would help, by their names, the best first."""

    def __init__(self, sentence: str, remedies: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(sentence)
        self.remedies = tuple(dict(remedy) for remedy in remedies)


def first_line(error: Exception) -> str:
    """What an error of somebody else's code says, in a line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def explain_os_error(error: OSError, doing: str) -> str:
    """One sentence for a failed file operation, e.g. "cannot write /x/run.json: No space left on device"."""
    return f"cannot {doing}: {error.strerror or error}"
