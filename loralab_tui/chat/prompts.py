"""Which prompts a run answers at every checkpoint, when nobody chose any: read from the beginning of the corpus."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from loralab_core.catalog import pocket
from loralab_core.errors import BadInput
from loralab_core.text.corpus_files import expand
from loralab_core.text.formats import open_rows
from loralab_core.text.readers import is_plain_text, read_text
from loralab_core.text.samples import Sample, TextSample, sample_of
from loralab_tui.studio import Studio

COUNT = 3
WORDS = 8  # of a text that is to be continued
ROWS = 300  # looked at
BLOCK = 1 << 18  # bytes of a text looked at
LONGEST = 300  # characters of a question
LARGE = 32 << 20  # bytes; a .json file has to be read whole


async def next_prompts(studio: Studio) -> tuple[str, ...]:
    """What the next run is asked: the user's own, or what fits model and corpus."""
    if studio.prompts is not None:
        return studio.prompts
    if studio.model is None or studio.corpus is None:
        return ()
    return await asyncio.to_thread(prompts_for, studio.model, *studio.corpus.places)


def prompts_for(model: str, *corpus: str) -> tuple[str, ...]:
    """Three at most, fewer where the corpus is short; none where it cannot be read, which training will explain."""
    if (model == pocket.NAME or Path(model) == pocket.POCKET) and corpus == (str(pocket.SAMPLE_CORPUS),):
        return pocket.PROMPTS
    try:
        return spread([*dict.fromkeys(islice(_beginnings(expand(corpus)), ROWS))])
    except (BadInput, OSError):
        return ()


def spread(found: Sequence[str]) -> tuple[str, ...]:
    """Three of them, as far from each other as they can be."""
    if len(found) <= COUNT:
        return tuple(found)
    return tuple(found[at * (len(found) - 1) // (COUNT - 1)] for at in range(COUNT))


def _beginnings(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        if is_plain_text(file):
            block = next(read_text(file, BLOCK))
            yield from filter(None, map(first_words, _paragraphs(block.text)))
        elif file.suffix.lower() == ".jsonl" or file.stat().st_size <= LARGE:
            format, rows = open_rows(file)
            yield from filter(None, (_asked(sample_of(row, format, file)) for row in islice(rows, ROWS)))


def _paragraphs(text: str) -> list[str]:
    """Those with enough words to begin one; lines where no paragraph has."""
    paragraphs = [part for part in text.split("\n\n") if len(part.split()) > WORDS]
    return paragraphs if len(paragraphs) >= COUNT else text.split("\n")


def first_words(text: str) -> str:
    """The first words of a text, as a beginning that a model can go on with."""
    lines = text.strip().split("\n")
    return " ".join(" ".join(lines[:2]).split()[:WORDS])


def _asked(sample: Sample) -> str:
    """The first question of a conversation, or the beginning of a text; empty for what makes no prompt."""
    if isinstance(sample, TextSample):
        return first_words(sample.text)
    question = next((turn.get("content", "") for turn in sample.messages if turn.get("role") == "user"), "")
    return question.strip() if len(question) <= LONGEST else ""
