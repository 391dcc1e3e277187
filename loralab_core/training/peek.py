"""The batch that was trained last, for someone's eyes.

The order of the data is a function of the step, so nothing has to be kept for it.
"""

from loralab_core.text.packing import IGNORED, Batch, order
from loralab_core.text.showing import marked_parts
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.training.trainer import Trainer

ROW_LIMIT = 4000  # characters

Row = list[tuple[str, bool]]  # stretches of text, and whether they are trained on


def last_batch(trainer: Trainer, tokenizer: Tokenizer, rows: int) -> list[Row]:
    """The first `rows` windows of the last step made."""
    config = trainer.config
    chosen = order(len(trainer.windows), trainer.step, config.batch, config.seed)[: max(0, rows)]
    batch = trainer.windows.batch(chosen)
    return [_row(batch, number, tokenizer) for number in range(len(chosen))]


def _row(batch: Batch, number: int, tokenizer: Tokenizer) -> Row:
    length = min(batch.segments[number][-1][1], ROW_LIMIT)  # a token has about four characters, and rarely none
    trained = [False, *(batch.labels[number, : length - 1] != IGNORED).tolist()]
    row: Row = []
    left = ROW_LIMIT
    for part in marked_parts(batch.ids[number, :length].tolist(), trained, tokenizer):
        if left > 0:
            row.append((part["text"][:left], part["trained"]))
            left -= len(part["text"])
    return row
