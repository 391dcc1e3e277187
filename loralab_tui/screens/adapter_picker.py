"""Which adapter LoRA answers with: a directory, or nothing for that of the run on the screen."""

import asyncio
import os
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from loralab_core.errors import BadInput
from loralab_core.paths import adapters_dir, expand_user
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.screens.dialog import Dialog
from loralab_tui.widgets.choices import Choices


class AdapterPicker(Dialog[str]):
    """Dismissed with a directory, or with "" for the run's own."""

    CSS_PATH = ["dialog.tcss", "manners.tcss"]

    def __init__(self, chosen: str | None) -> None:
        super().__init__()
        self.chosen = chosen
        self.found: list[Path] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Which adapter is LoRA?"
            box.border_subtitle = "Enter: choose · Tab: list · Esc: back"
            yield Static("A directory with adapter_config.json; empty: that of the run on the screen.", classes="lead")
            yield Input(self.chosen or "", placeholder="/path/to/adapter", classes="first")
            yield Choices(compact=True)
            yield Static(id="said", markup=False)

    def on_mount(self) -> None:
        self.look()

    @work(group="look")
    async def look(self) -> None:
        self.found = await asyncio.to_thread(found)
        self.query_one(OptionList).add_options([_row(place) for place in self.found])
        if not self.found and not self.is_wrong:
            self.say(f"None was exported yet; {keymap.name('export')} exports that of a run.")

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        if text := event.value.strip():
            self.use(text)
        else:
            self.dismiss("")

    @work(group="use", exclusive=True)
    async def use(self, text: str) -> None:
        try:
            place = await asyncio.to_thread(adapter_at, text)
        except BadInput as error:
            self.say(str(error), wrong=True)
        else:
            self.finish(place)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(self.found[event.option_index]))


def adapter_at(text: str) -> str:
    """The directory that was typed. BadInput where it holds no adapter."""
    place = expand_user(text)
    if not os.path.isfile(place / "adapter_config.json"):
        raise BadInput(f"{place} holds no adapter: there is no adapter_config.json")
    return os.path.realpath(place)


def found() -> list[Path]:
    """Exported adapters, the newest first; none where they cannot be read."""
    configs = adapters_dir().glob("*/adapter_config.json")
    try:
        return [config.parent for config in sorted(configs, key=lambda file: file.stat().st_mtime, reverse=True)]
    except OSError:
        return []


def _row(place: Path) -> Option:
    return Option(
        Content.assemble(words.shorten(place.name, 40), "  ", (words.shorten(str(place.parent), 28), "$quiet"))
    )
