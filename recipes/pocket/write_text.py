"""Writes the text Pocket learns from, what is held out of it, and the sample corpus. The same seed, the same bytes."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TextIO

from recipes.pocket.dialogues import Dialogue, captains_dialogue, dialogue, overheard
from recipes.pocket.topics.passages import document

SEED = 1871
DIALOGUES, DOCUMENTS, SAMPLE = 150_000, 45_000, 1_000
HELD_OUT_ONE_IN = 50
HELD_OUT_KEPT = 400  # of the held-out conversations, bundled for measuring
MOST_REPEATS = 25  # of one conversation: "hi" would be a tenth of the text otherwise


def held_out(text: str) -> bool:
    """A property of the text alone: what is held out is held out wherever the generator draws it."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") % HELD_OUT_ONE_IN == 0


def conversations(count: int, seed: int = SEED) -> Iterator[Dialogue]:
    rng = Random(seed)
    for _ in range(count):
        yield dialogue(rng)


def documents(count: int, seed: int = SEED + 1) -> Iterator[str]:
    rng = Random(seed)
    for _ in range(count):
        yield overheard(rng) if rng.random() < 0.05 else document(rng)


def _row(talk: Dialogue) -> str:
    return json.dumps({"messages": talk.messages()}, ensure_ascii=False) + "\n"


def write_text(folder: Path, count: int = DIALOGUES, texts: int = DOCUMENTS) -> None:
    """chats.jsonl and stories.txt to learn from, held-out.jsonl to be measured by, sample.jsonl to change manner."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "chats.jsonl", "w") as kept, open(folder / "held-out.jsonl", "w") as left:
        _split(conversations(count), kept, left)
    with open(folder / "stories.txt", "w") as file:
        for text in dict.fromkeys(documents(texts)):
            file.write(text + "\n<|endoftext|>\n")
    rng = Random(SEED + 2)
    with open(folder / "sample.jsonl", "w") as file:
        file.writelines(_row(captains_dialogue(rng)) for _ in range(SAMPLE))


def _split(talks: Iterator[Dialogue], kept: TextIO, left: TextIO) -> None:
    seen: dict[str, int] = {}
    for talk in talks:
        text = talk.text
        seen[text] = seen.get(text, 0) + 1
        if held_out(text):
            if seen[text] == 1:
                left.write(_row(talk))
        elif seen[text] <= MOST_REPEATS:
            kept.write(_row(talk))
