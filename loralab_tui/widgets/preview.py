"""What fills the training side before there is a training: a piece of the corpus, and what will be asked on the way."""

import asyncio

from textual import work
from textual.content import Content
from textual.widgets import Static

from loralab_tui.chat.harmless import harmless
from loralab_tui.config import keymap
from loralab_tui.data.preview import Turn, first_sample
from loralab_tui.studio import Studio

TURNS = 4  # of the first conversation


class Preview(Static):
    """Read once for each corpus, model and choice of prompts."""

    DEFAULT_CSS = "Preview { height: 1fr; padding: 0 1; overflow: hidden; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._of: tuple[object, ...] = ()

    def show(self, studio: Studio) -> None:
        self.display = studio.run is None and studio.can_train
        about = (studio.model, studio.corpus.places if studio.corpus else None, studio.prompts)
        if self.display and about != self._of:
            self._of = about
            self.read(studio)

    @work(exclusive=True, group="preview")
    async def read(self, studio: Studio) -> None:
        from loralab_tui.chat.prompts import next_prompts  # reads corpora: after the first paint

        assert studio.corpus is not None
        turns = await asyncio.to_thread(first_sample, *studio.corpus.places)
        prompts = await next_prompts(studio)
        self.update(Content("\n").join([*_sample(turns), *_asked(prompts)]))


def _sample(turns: list[Turn]) -> list[Content]:
    """Who speaks in the colours of the chat: what the assistant says is what LoRA will learn to say."""
    if not turns:
        return []
    lines = [_heading("It learns from texts like this one", "data", "all of them")]
    for who, text in turns[:TURNS]:
        colour = "$lora-voice" if who in ("assistant", "text") else "$quiet"
        name = "" if who == "text" else f"{who}  "
        lines.append(Content.assemble((name, f"bold {colour}"), harmless(text)))
    return [*lines, Content("")]


def _asked(prompts: tuple[str, ...]) -> list[Content]:
    if not prompts:
        return []
    heading = _heading("Asked again at every checkpoint", "prompts", "others")
    return [heading, *(Content(f"· {harmless(prompt)}") for prompt in prompts)]


def _heading(text: str, action: str, what: str) -> Content:
    return Content.assemble((text, "$quiet"), "  ", (keymap.name(action), "bold $primary"), (f" {what}", "$quiet"))
