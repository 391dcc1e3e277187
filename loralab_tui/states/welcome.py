"""What an empty conversation says: the way to a trained adapter in three lines, ticked off as one goes."""

from textual.content import Content

from loralab_tui.config import keymap
from loralab_tui.studio import Studio


def welcome(studio: Studio) -> Content:
    corpus = studio.corpus.name if studio.corpus else ""
    steps = (
        (keymap.name("model"), "Choose a model", "a directory or a Hugging Face id", studio.model_name or ""),
        (keymap.name("corpus"), "Choose a corpus", "the text it should learn from", corpus),
        (keymap.name("train"), "Train", "and talk to it here while it learns", studio.run.name if studio.run else ""),
    )
    now = next((number for number, step in enumerate(steps) if not step[3]), len(steps))
    lines = [_line(key, what, how, done, number == now) for number, (key, what, how, done) in enumerate(steps)]
    return Content("\n\n").join([*lines, Content.styled(_hint(studio), "italic")])


def _line(key: str, what: str, how: str, done: str, is_next: bool) -> Content:
    sign = "✓" if done else "▸" if is_next else " "
    style = "bold $foreground" if is_next else ""
    return Content.assemble(
        (f"{sign} ", "$success" if done else "$primary"),
        (f"{key}  ", "bold $primary"),
        (what, style),
        f"\n      {done or how}",
    )


def _hint(studio: Studio) -> str:
    if studio.model is None:
        shows = f"{studio.live_elsewhere} is training now: {keymap.name('train')} shows it."
        return shows if studio.offers_live else ""
    if studio.install is not None:
        return f"{studio.install.sentence}."
    return "The model can already be asked: type below, Enter sends."


def placeholder(studio: Studio, continues: bool) -> str:
    if studio.model is None:
        return f"{keymap.name('model')} chooses a model, then you can talk to it here"
    return "write the beginning of a text, the model goes on…" if continues else "ask it something…"
