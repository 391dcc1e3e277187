"""The run one looks at in the list, in a few lines."""

import time
from pathlib import Path
from textwrap import wrap

from textual.content import Content
from textual.widgets import Static

from loralab_core.paths import with_tilde
from loralab_core.runs.summary import Summary
from loralab_tui import words
from loralab_tui.data.model_names import model_name
from loralab_tui.runs.reading import Reading, unusual

LABEL = 9
LINES = 2  # of what can be long
SENTENCES = ("why", "settings")


class RunDetails(Static):
    """Lines of `label value`; values that are too long are cut in the middle."""

    DEFAULT_CSS = "RunDetails { height: 100%; text-wrap: nowrap; }"

    def show(self, one: Summary, reading: Reading | None) -> None:
        room = max(10, self.content_size.width - LABEL)
        lines = [Content.styled(words.shorten(one.name or one.id, room + LABEL), "bold")]
        for name, value in _pairs(one, reading):
            parts = wrap(value, room)[:LINES] if name in SENTENCES else [words.shorten(value, room)]
            lines += [
                Content.assemble((f"{'' if number else name:<{LABEL}}", "$quiet"), part)
                for number, part in enumerate(parts)
            ]
        self.update(Content("\n").join(lines[: max(1, self.content_size.height)]))


def _pairs(one: Summary, reading: Reading | None) -> list[tuple[str, str]]:
    """The most telling first: a small screen shows fewer."""
    corpus = "".join(Path(path).name for path in one.corpus[:1])
    corpus += f" and {len(one.corpus) - 1} more" if one.corpus[1:] else ""
    best = f"{one.val_loss:.2f} @{one.best_step}" if one.val_loss is not None else ""
    perplexity = f" · perplexity {words.real(one.val_perplexity, 1)}" if one.val_perplexity else ""
    changed = ", ".join(unusual(reading.record)) or "all as by default" if reading else "…"
    pairs = [
        ("state", _state(one)),
        ("why", words.one_line(one.why or "")),
        ("trained", _trained(one)),
        ("best", best + perplexity),
        ("settings", changed),
        ("model", model_name(one.model)),
        ("corpus", corpus),
        ("mode", "all weights" if one.mode == "full" else ""),
        ("place", with_tilde(one.path)),
        ("disk", words.size(one.disk_bytes)),
    ]
    return [(name, value) for name, value in pairs if value]


def _state(one: Summary) -> str:
    where = f" on {one.host}" if one.host else ""
    return f"{one.status}{where}, begun {words.ago(time.time() - one.created)}"


def _trained(one: Summary) -> str:
    if not one.step:
        return "not a step yet"
    of = f"/{one.steps}" if one.steps else ""
    return f"{one.step}{of} · {words.count(one.tokens)} tokens · {words.clock(one.seconds)}"
