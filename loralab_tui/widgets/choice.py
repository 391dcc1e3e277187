"""One of a few, on one line: `● Base  ○ LoRA @340  ○ Both`. The filled circle says it without colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static


class Option(Static):
    """One of the words; not focusable, since a function key turns the switch."""

    ALLOW_SELECT = False

    def __init__(self, value: str, label: str, signs: str) -> None:
        super().__init__(markup=False, id=f"option-{value}", classes=value)
        self.value = value
        self.signs = signs
        self.label = label
        self.picked = False

    def paint(self) -> None:
        self.update(f"{self.signs[0 if self.picked else 1]} {self.label}")
        self.set_class(self.picked, "-picked")


class Choice(HorizontalGroup):
    """Posts Picked when clicked or turned; `value` can be set from outside without a message."""

    DEFAULT_CSS = """
    Choice { width: auto; height: 1; }
    Choice > Option { width: auto; margin-right: 2; color: $quiet; }
    Choice > Option:hover { text-style: underline; }
    Choice > Option.-picked { text-style: bold; color: $foreground; }
    Choice > Option.base.-picked { color: $base-voice; }
    Choice > Option.lora.-picked { color: $lora-voice; }
    Choice > Option:disabled { color: $faint; text-style: none; }
    """

    @dataclass
    class Picked(Message):
        choice: "Choice"
        value: str

        @property
        def control(self) -> "Choice":
            return self.choice

    value: reactive[str] = reactive("")

    def __init__(
        self, options: Sequence[tuple[str, str]], value: str, *, signs: str = "●○", id: str | None = None
    ) -> None:
        """`options`: (value, label). `signs`: before the one that is picked, and before the others."""
        super().__init__(id=id)
        self.options = [Option(*option, signs) for option in options]
        self.set_reactive(Choice.value, value)

    def compose(self) -> ComposeResult:
        yield from self.options

    def on_mount(self) -> None:
        self.watch_value()

    def watch_value(self) -> None:
        for option in self.options:
            option.picked = option.value == self.value
            option.paint()

    def label(self, value: str, text: str) -> None:
        for option in self.options:
            if option.value == value and option.label != text:
                option.label = text
                option.paint()

    def allow(self, value: str, allowed: bool, why: str = "") -> None:
        for option in self.options:
            if option.value == value:
                option.disabled = not allowed
                option.tooltip = None if allowed else why

    def choose(self, value: str) -> None:
        """As a click on it would."""
        if any(option.value == value and not option.disabled for option in self.options):
            self._pick(value)

    def turn(self) -> None:
        """To the next word that is allowed."""
        at = next(i for i, option in enumerate(self.options) if option.value == self.value)
        for option in self.options[at + 1 :] + self.options[:at]:
            if not option.disabled:
                self._pick(option.value)
                return

    def on_click(self, event: Click) -> None:
        if isinstance(event.widget, Option) and not event.widget.disabled:
            self._pick(event.widget.value)

    def _pick(self, value: str) -> None:
        self.value = value
        self.post_message(self.Picked(self, value))
