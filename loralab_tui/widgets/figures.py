"""The numbers of a run in columns; only what the engine has said."""

from math import exp

from textual.content import Content

from loralab_tui import words
from loralab_tui.runs.view import RunView

WIDE = 70  # cells from which four columns fit
LARGE = 14.0  # a loss above it: its perplexity is no number anyone reads


def numbers(run: RunView, width: int) -> Content:
    if not len(run.curve):
        return Content("")
    pairs = _figures(run)
    columns = 4 if width >= WIDE else 3
    cell = max(14, width // columns)
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    return Content("\n").join(Content("").join(_cell(name, value, cell) for name, value in row) for row in rows)


def _figures(run: RunView) -> list[tuple[str, str]]:
    last, best = run.numbers, run.best
    speed, epoch = last.get("tokens_per_s"), last.get("epoch")
    validation = run.validation[-1][1] if run.validation else None
    return [
        ("loss", words.real(last.get("loss"))),
        ("val", words.real(validation)),
        ("best", f"{best[1]:.2f} @{best[0]}" if best else words.DASH),
        ("perplexity", f"{exp(validation):.1f}" if validation is not None and validation < LARGE else words.DASH),
        ("epoch", f"{epoch:.2f}" if epoch is not None else words.DASH),
        ("tokens", words.count(last.get("tokens"))),
        ("tok/s", f"{speed:,.0f}" if speed else words.DASH),
        ("lr", words.rate(last.get("lr"))),
        ("gradient", words.real(last.get("grad_norm"))),
        ("packed", f"{100 * last['fill']:.0f}%" if last.get("fill") else words.DASH),
        ("memory", words.size(last.get("memory_bytes"))),
    ]


def _cell(name: str, value: str, width: int) -> Content:
    space = " " * max(1, width - len(name) - len(value) - 1)
    return Content.assemble((name, "$quiet"), " ", (value, "bold"), space)
