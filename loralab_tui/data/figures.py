"""A corpus in figures: what is trained, what is left out, how long the rows are."""

from textwrap import wrap

from textual.content import Content

from loralab_core.text.statistics import counted
from loralab_tui import words
from loralab_tui.data.looking import Facts, Lengths
from loralab_tui.runs.scale import label
from loralab_tui.widgets.progress import bar

_EIGHTHS = " ▁▂▃▄▅▆▇█"
NAME = 11  # cells of the names at the left
LABELLED = 4  # lines from which the heights of the histogram are named


def statistics(facts: Facts, width: int) -> Content:
    """Named lines."""
    share = facts.trained_tokens / max(1, facts.tokens)
    filled, rest = bar(share, max(8, width - NAME - 5))
    named = [
        ("format", facts.format),
        ("template", "of the model" if facts.chat_template == "own" else "plain (the model has none)"),
        ("windows", f"{facts.windows:,} of {facts.seq_len} tokens, {facts.fill:.1%} full"),
        ("tokens", f"{facts.tokens:,}"),
        ("trained on", f"{facts.trained_tokens:,}"),
    ]
    lines = [_line(name, value, width) for name, value in named]
    lines.append(Content.assemble(" " * NAME, (filled, "$lora-voice"), (rest, "$faint"), f" {share:.0%}"))
    if facts.validation_pieces:
        lines.append(_line("held out", f"{counted(facts.validation_pieces, 'piece')} for validation", width))
    return Content("\n").join([*lines, *losses(facts, width)])


def losses(facts: Facts, width: int) -> list[Content]:
    """What does not reach the model whole."""
    first = f", the first is {facts.first_skipped}" if facts.first_skipped else ""
    why = facts.refusal or "nothing to train on in them"
    named = [
        (facts.skipped, "! skipped", f"{counted(facts.skipped, 'row')}{first}: {why}"),
        (facts.cut, "! cut", f"{counted(facts.cut, 'row')} after {facts.seq_len} tokens"),
        (facts.split, "split", f"{counted(facts.split, 'row')} longer than {facts.seq_len} tokens"),
        (facts.dropped_pieces, "left out", f"{counted(facts.dropped_pieces, 'piece')} without a trained token"),
    ]
    lines = [_line(name, value, width) for count, name, value in named if count]
    return lines or [_line("left out", "nothing", width)]


def _line(name: str, value: str, width: int) -> Content:
    style = "bold $warning" if name.startswith("!") else "$quiet"
    rows = wrap(value, max(8, width - NAME)) or [""]
    return Content.assemble((f"{name:<{NAME}}", style), f"\n{' ' * NAME}".join(rows))


def short(facts: Facts, width: int) -> Content:
    """The same on a few lines, where there is no room for a column."""
    share = facts.trained_tokens / max(1, facts.tokens)
    lines = [
        f"{facts.rows:,} rows, {words.count(facts.tokens)} tokens",
        f"{share:.0%} of them trained on",
        f"{facts.windows:,} windows of {facts.seq_len}, {facts.fill:.0%} full",
    ]
    return Content("\n").join([*map(Content, lines), *losses(facts, width)])


def histogram(facts: Facts, width: int, height: int) -> Content:
    """Rows by length, with the window marked on the axis; one long text is cut end to end and needs no picture."""
    lengths, window = facts.lengths, facts.seq_len
    if lengths.count < 2:
        said = f"One text of {lengths.quantiles['max']:,} tokens, cut into windows end to end."
        return Content.styled("\n".join(wrap(said, width)), "$quiet")
    each = rows_a_line(max(facts.histogram.counts, default=0), height)
    labels = heights(each, height)
    shape = spread(facts.histogram, max(8, width - len(labels[0])))
    lines = zip(labels, columns(shape, height, each), strict=True)
    bars = [Content.assemble((said, "$quiet"), (line, "$primary")) for said, line in lines]
    title = Content.styled("rows by their length in tokens", "$quiet")
    below = _axis(facts.histogram, len(shape), window).split("\n")
    axis = [Content(" " * len(labels[0])) + line for line in below]
    said = f"half up to {lengths.quantiles['p50']:,}, 95% up to {lengths.quantiles['p95']:,}"
    if lengths.quantiles["max"] > facts.histogram.edges[-1]:
        said += f", the longest {lengths.quantiles['max']:,}"
    return Content("\n").join([title, *bars, *axis, Content.styled(said, "$quiet")])


def spread(histogram: Lengths, width: int) -> list[int]:
    """One count a column: each bin as wide as the room allows."""
    each = max(1, min(3, width // max(1, len(histogram.counts))))
    return [count for count in histogram.counts for _ in range(each)]


def rows_a_line(most: int, height: int) -> float:
    """How many a whole line stands for, so that `most` fits into `height` of them; short to say where it is said."""
    if height < LABELLED:
        return most / height or 1
    least = max(1, -(-most // height))
    power: int = 10 ** (len(str(least)) - 1)
    return next(factor * power for factor in (1, 2, 3, 4, 5, 6, 8, 10) if factor * power >= least)


def heights(each: float, height: int) -> list[str]:
    """What full lines stand for, at every second one from the top; nothing where there are few lines."""
    said = [label(each * row) if (height - row) % 2 == 0 else "" for row in range(height, 0, -1)]
    cell = max(map(len, said))
    return [f"{text:>{cell}}{'┤' if text else '│'}" for text in said] if height >= LABELLED else [""] * height


def columns(counts: list[int], height: int, each: float) -> list[str]:
    """Lines of blocks from the top, a full one for `each`; what is not empty is visible."""
    filled = [max(1, round(count / each * 8)) if count else 0 for count in counts]
    rows = range(height - 1, -1, -1)
    return ["".join(_EIGHTHS[min(8, max(0, eighths - 8 * row))] for eighths in filled) for row in rows]


def _axis(histogram: Lengths, width: int, window: int) -> Content:
    """The shortest and longest below the ends, and where the window ends."""
    low, high = histogram.edges[0], histogram.edges[-1] - 1
    line = f"{low:,}{f'{high:,}':>{max(1, width - len(f'{low:,}'))}}"
    if window >= high:
        return Content.assemble((line, "$quiet"), "\n", (f"all within the window of {window}", "$success"))
    at = round((window - low) / max(1, high + 1 - low) * width)
    mark = f"▲ window {window}"
    left = min(max(0, at), max(0, width - len(mark)))
    if at > width - len(mark):
        mark, left = f"window {window} ▲", max(0, at - len(f"window {window} ▲") + 1)
    return Content.assemble((line, "$quiet"), "\n", " " * left, (mark, "bold"))
