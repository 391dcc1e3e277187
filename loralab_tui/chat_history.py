"""What was said in a run before: its chat.jsonl, as far as it can be read."""

from pathlib import Path
from typing import Any

import msgspec

from loralab_core.runs.directory import RunDirectory

NEWEST = 50


class Exchange(msgspec.Struct, frozen=True):
    """One question and its answer. Asked with `messages` in a chat, with `prompt` where a text was continued."""

    speaker: str
    text: str
    step: int | None = None
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None

    @property
    def question(self) -> str:
        return str(self.messages[-1].get("content", "")) if self.messages else self.prompt or ""


def read_chat(run: Path) -> list[Exchange]:
    """The newest exchanges, the oldest of them first; damaged lines are left out."""
    try:
        lines = RunDirectory(run).chat_path.read_bytes().splitlines()[-NEWEST:]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Exchange))
        except msgspec.DecodeError:
            continue
    return [exchange for exchange in found if exchange.speaker in ("base", "lora")]
