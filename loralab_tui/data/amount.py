"""How many tokens a corpus has, estimated from its beginning: until a run has counted them, and said as "about"."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from loralab_core.architecture.families import read_config
from loralab_core.errors import LoraLabError
from loralab_core.text.corpus_files import expand
from loralab_core.text.formats import open_rows
from loralab_core.text.readers import RawRow, is_plain_text
from loralab_core.text.samples import Sample, TextSample, sample_of
from loralab_core.text.tokenizer import Tokenizer

ROWS, TEXT = 200, 1 << 16  # rows or bytes of a file, whichever is less, that tell how dense all of it is
LARGE = 1 << 20  # bytes; a .json file has to be read whole
SMALL = 1 << 20  # bytes; a larger tokenizer takes so long to read that the screen would feel it
VOCABULARY = 32_000  # where a model does not say


def estimated_tokens(corpus: tuple[str, ...], model: str) -> int | None:
    """None where the corpus cannot be read, which choosing it has said already. For a thread."""
    try:
        return round(_tokens(expand(corpus), Density(model))) or None
    except (LoraLabError, OSError):
        return None
    except Exception:  # a template of somebody else's raises what it likes; nothing depends on an estimate
        return None


def bytes_per_token(vocabulary: int) -> float:
    """1.5 for a vocabulary of 512, 2.2 for one of 2,048, 4.3 for one of 128,000: as measured on English."""
    return max(1.0, 0.36 * math.log2(vocabulary) - 1.8)


def _tokens(files: list[Path], density: "Density") -> float:
    """The first file of each kind tells for all of that kind."""
    plain = [file for file in files if is_plain_text(file)]
    rows = [file for file in files if not is_plain_text(file)]
    return sum(
        sum(file.stat().st_size for file in alike) * tokens_per_byte(alike[0])
        for alike, tokens_per_byte in ((plain, density.of_text), (rows, density.of_rows))
        if alike
    )


class Density:
    """Tokens in a byte of a file: counted with the model's tokenizer where that is small, else by its vocabulary."""

    def __init__(self, model: str) -> None:
        try:
            self._bytes_per_token = bytes_per_token(read_config(Path(model)).vocab_size)
        except LoraLabError:
            self._bytes_per_token = bytes_per_token(VOCABULARY)
        file = Path(model, "tokenizer.json")
        self._tokenizer = Tokenizer.load(model) if file.is_file() and file.stat().st_size <= SMALL else None

    def of_text(self, file: Path) -> float:
        with file.open("rb") as opened:
            begin = opened.read(TEXT)
        if self._tokenizer is None or not begin:
            return 1 / self._bytes_per_token
        return len(self._tokenizer.encode(begin.decode("utf-8", "replace"))) / len(begin)

    def of_rows(self, file: Path) -> float:
        """Only what rows say counts, without their field names and brackets."""
        if file.suffix.lower() != ".jsonl" and file.stat().st_size > LARGE:
            return 1 / self._bytes_per_token
        format, rows = open_rows(file)
        first = list(beginning(rows))
        return self._of_samples([sample_of(row, format, file) for row in first]) / first[-1].end

    def _of_samples(self, samples: list[Sample]) -> float:
        if self._tokenizer is None:
            return sum(map(_text_bytes, samples)) / self._bytes_per_token
        from loralab_core.text.encode import Encoder

        encoder = Encoder(self._tokenizer)
        return sum(len(ids) for sample in samples for ids, _ in encoder.encode(list(encoder.segments(sample))))


def beginning(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    for row in islice(rows, ROWS):
        yield row
        if row.end >= TEXT:
            return


def _text_bytes(sample: Sample) -> int:
    texts = [sample.text] if isinstance(sample, TextSample) else [turn["content"] or "" for turn in sample.messages]
    return sum(len(text.encode()) for text in texts)
