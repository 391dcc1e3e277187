"""What tells two runs apart: their settings, and how they did. Pure data for the screen that compares them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loralab_tui import words
from loralab_tui.data.model_names import model_name
from loralab_tui.runs.reading import Reading, plain, settings


@dataclass(frozen=True)
class Row:
    """`better`: 0 or 1 where one of the two is, None where neither is or it is no contest."""

    name: str
    values: tuple[str, str]
    better: int | None = None


def differences(a: Reading, b: Reading) -> list[Row]:
    """The settings that are not the same, and the model and corpus where they are not."""
    left, right = ({"model": model(one), "corpus": corpus(one), **settings(one.record)} for one in (a, b))
    names = [name for name in left | right if left.get(name) != right.get(name)]
    return [Row(name.replace("_", " "), (plain(left.get(name)), plain(right.get(name)))) for name in names]


def results(a: Reading, b: Reading) -> list[Row]:
    comparable = not warning(a, b)
    return [
        _row("steps", a, b, lambda one: float(one.view.step), lambda value: f"{value:.0f}"),
        _row("tokens", a, b, lambda one: float(one.history.figures()["tokens"]), words.count),
        _row("last loss", a, b, lambda one: one.history.figures()["loss"], words.real),
        _row("best validation", a, b, _best_loss, words.real, "low" if comparable else ""),
        _row("its perplexity", a, b, _perplexity, lambda value: words.real(value, 1), "low" if comparable else ""),
        _row("at step", a, b, lambda one: one.history.figures()["best_step"], lambda value: plain(value)),
        _row("tokens/s", a, b, _speed, lambda value: f"{value:,.0f}" if value else words.DASH, "high"),
        _row("duration", a, b, lambda one: one.history.spent or None, words.clock),
    ]


def warning(a: Reading, b: Reading) -> str:
    """Why the losses of the two do not compare; empty where they do."""
    if not _same(a, b, "model"):
        return "Their models differ: losses of two models compare only where the tokenizer is the same."
    if not _same(a, b, "corpus"):
        return "Their corpora differ: each loss is about its own text."
    if settings(a.record).get("seq_len") != settings(b.record).get("seq_len"):
        return "Their windows differ in length: longer ones give lower losses by themselves."
    return ""


def _same(a: Reading, b: Reading, what: str) -> bool:
    """By what was read, where both runs wrote that down; by the place it was read from otherwise."""
    prints = [(one.record.prepared or {}).get(f"{what}_fingerprint") for one in (a, b)]
    if all(prints):
        return bool(prints[0] == prints[1])
    return bool(a.record.config.get(what) == b.record.config.get(what))


def model(one: Reading) -> str:
    return model_name(str(one.record.config.get("model", "")))


def corpus(one: Reading) -> str:
    return ", ".join(Path(str(path)).name for path in one.record.config.get("corpus", ()))


def _row(
    name: str,
    a: Reading,
    b: Reading,
    figure: Callable[[Reading], float | None],
    write: Callable[[float | None], str],
    best: str = "",
) -> Row:
    """`best`: whether a "low" or a "high" figure is the better one."""
    left, right = figure(a), figure(b)
    better = None
    if best and left is not None and right is not None and left != right:
        better = int((right < left) == (best == "low"))
    return Row(name, (write(left), write(right)), better)


def _best_loss(one: Reading) -> float | None:
    found: float | None = one.history.figures()["val_loss"]
    return found


def _perplexity(one: Reading) -> float | None:
    found: float | None = one.history.figures()["val_perplexity"]
    return found


def _speed(one: Reading) -> float | None:
    history = one.history
    return history.tokens[-1] / history.spent if history.tokens and history.spent else None
