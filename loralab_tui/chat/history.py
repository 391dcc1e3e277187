"""What was said in a run before: its chat.jsonl, as far as it can be read."""

import os
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.runs.directory import RunDirectory
from loralab_core.text.turns import whole_characters
from loralab_core.wire.messages import CUT
from loralab_tui.chat.conversation import SPEAKERS, Reply, Round

NEWEST = 50
TAIL = 8 << 20  # bytes: each exchange holds the whole branch before it, so a long conversation grows by its square


class Exchange(msgspec.Struct, frozen=True):
    """One question and its answer. Asked with `messages` in a chat, with `prompt` where a text was continued."""

    speaker: str
    text: str
    step: int | None = None
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    begun: str | None = None  # of the text, where it went on from an answer
    finish: str = ""

    @property
    def question(self) -> str:
        return str(self.messages[-1].get("content", "")) if self.messages else self.prompt or ""

    @property
    def cut(self) -> bool:
        return self.finish in CUT and bool(self.text)


def rounds_of(exchanges: list[Exchange]) -> list[Round]:
    """As one saw it: answers of both under their question, one that was asked for again in the old one's place."""
    rounds: list[Round] = []
    lengths: dict[str, int] = {}  # of what each speaker of the last round was sent: the same when asked again
    for exchange in exchanges:
        if _went_on(rounds, exchange):
            continue
        length = len(exchange.messages or ())
        same = rounds and rounds[-1].question == exchange.question
        if not same or lengths.get(exchange.speaker, length) != length:
            rounds.append(Round(exchange.question, exchange.messages is None))
            lengths = {}
        lengths[exchange.speaker] = length
        others = [reply for reply in rounds[-1].replies if reply.speaker != exchange.speaker]
        rounds[-1].replies = [*others, Reply(exchange.speaker, exchange.text, exchange.step, cut=exchange.cut)]
    return rounds


def _went_on(rounds: list[Round], exchange: Exchange) -> bool:
    """Whether it made an answer longer, which is the whole one then."""
    for said in reversed(rounds):
        reply = said.reply(exchange.speaker)
        if reply is not None and (whole := _longer(said, reply, exchange)):
            reply.went_on(whole, exchange.step, cut=exchange.cut)
            reply.note = reply.beginning
            return True
    return False


def _longer(said: Round, reply: Reply, exchange: Exchange) -> str:
    """All of the answer that goes on with this one. The prompt of a text holds what was asked and what was said."""
    if said.continues:
        begun = whole_characters(reply.text)
        return begun + exchange.text if begun and exchange.prompt == said.question + begun else ""
    same = exchange.begun and said.question == exchange.question and exchange.begun.strip() in reply.text
    return exchange.text if same else ""


def read_chat(run: Path) -> list[Exchange]:
    """The newest exchanges, the oldest of them first; damaged lines are left out."""
    try:
        with RunDirectory(run).chat_path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().splitlines()[-NEWEST:]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            exchange = msgspec.json.decode(line, type=Exchange)
        except msgspec.DecodeError:
            continue
        known = exchange.speaker in SPEAKERS  # anything else is the directory of an adapter that LoRA was just then
        found.append(exchange if known else msgspec.structs.replace(exchange, speaker="lora"))
    return found
