"""What training will see of a corpus, found out beside the screen: `loralab data show` in a process of its own.

A large corpus takes minutes and all of a core; a process can be abandoned at once and cannot make the screen stutter.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

import msgspec

from loralab_core.architecture.families import read_config
from loralab_core.errors import BadInput, LoraLabError
from loralab_tui.config import keymap
from loralab_tui.studio import Studio

SAMPLES = 100
WINDOW = 512  # tokens, where neither the plan nor the model's context says otherwise
LINE_LIMIT = 1 << 27  # bytes; the last line holds all samples
Parts = list[tuple[str, bool]]
"""Stretches of text in order, each with whether it is trained on."""


class Part(msgspec.Struct, frozen=True):
    text: str
    trained: bool


class Sample(msgspec.Struct, frozen=True):
    """A piece of a row as long as a window at most. `tokens` counts the row, `shown_tokens` the piece."""

    row: int
    piece: int
    pieces: int
    tokens: int
    shown_tokens: int
    trained_tokens: int
    parts: list[Part]

    @property
    def marked(self) -> Parts:
        return [(part.text, part.trained) for part in self.parts]


class Lengths(msgspec.Struct, frozen=True):
    """`edges` has one more entry than `counts`; `quantiles`: "min", "p50", "p95", "max" …"""

    count: int
    quantiles: dict[str, int]
    edges: list[int]
    counts: list[int]


class Facts(msgspec.Struct, frozen=True):
    """The last line of `loralab data show --json --stream`, as far as the screen shows it."""

    format: str
    chat_template: str
    notes: list[str]
    rows: int
    skipped: int
    first_skipped: str
    refusal: str
    split: int
    cut: int
    dropped_pieces: int
    pieces: int
    validation_pieces: int
    windows: int
    fill: float
    seq_len: int
    tokens: int
    trained_tokens: int
    lengths: Lengths
    histogram: Lengths
    samples: list[Sample]


class Question(msgspec.Struct, frozen=True):
    """What decides the answer; the same question need not be asked twice."""

    model: str
    corpus: tuple[str, ...]
    seq_len: int
    val: float
    prompt_loss: bool = False


def question(studio: Studio) -> Question:
    """From what is chosen, or from the run on screen. BadInput says what is missing and which key gives it."""
    if studio.model is None or studio.corpus is None:
        what = "model" if studio.model is None else "corpus"
        missing = f"a {what} ({keymap.name(what)})"
        raise BadInput(f"choose {missing} first: its text is shown here as the model will see it")
    places = [Path(place) for place in (studio.status.model if studio.status else "", studio.model) if place]
    directory = next((place for place in places if place.exists()), None)
    if directory is None:
        raise BadInput(f"{studio.model} is not on this computer yet; its tokenizer comes with it")
    config = studio.run.config if studio.run else {}
    seq_len = config.get("seq_len") or studio.plan["seq_len"] or min(WINDOW, read_config(directory).context)
    corpus = tuple(config.get("corpus") or studio.corpus.places)
    val = config.get("val", studio.plan["val"])
    return Question(str(directory), corpus, int(seq_len), float(val), bool(config.get("prompt_loss", False)))


def command(asked: Question) -> list[str]:
    """The process to start, words of its own apart."""
    line = [sys.executable, "-m", "loralab_core.cli.main", "data", "show", *asked.corpus, "--model", asked.model]
    line += ["--seq-len", str(asked.seq_len), "--val", f"{asked.val:g}", "--rows", str(SAMPLES), "--json", "--stream"]
    return [*line, "--prompt-loss"] if asked.prompt_loss else line


async def facts(asked: Question, progress: Callable[[int, int], None]) -> Facts:
    """Ask, with progress in bytes. LoraLabError with the sentence the command ends with. Cancelling ends the process;
    what was tokenised stays cached only when it is whole."""
    try:
        process = await asyncio.create_subprocess_exec(*command(asked), stdout=PIPE, stderr=PIPE, limit=LINE_LIMIT)
    except OSError as error:
        raise LoraLabError(f"the corpus cannot be looked at: {error.strerror or error}") from error
    try:
        found = await _listen(process, progress)
        assert process.stderr is not None
        words = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    if found is None:
        raise LoraLabError(words[-1] if words else f"looking at the corpus ended with status {process.returncode}")
    return found


async def _listen(process: Process, progress: Callable[[int, int], None]) -> Facts | None:
    assert process.stdout is not None
    async for line in process.stdout:
        said = msgspec.json.decode(line)
        if said.get("event") == "tokenizing":
            progress(said["done_bytes"], said["total_bytes"])
        else:
            return msgspec.convert(said, Facts)
    return None
