"""One thing said, as one widget: a coloured edge, the speaker's name in words, the text.

Nothing inside is a widget of its own, so a transcript of hundreds stays quick to lay out.
"""

import re

from textual.content import Content
from textual.events import Enter, Leave
from textual.geometry import Size
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget

from loralab_tui.chat.conversation import Reply, Round
from loralab_tui.chat.harmless import harmless
from loralab_tui.chat.markdown import Known, markdown_lines
from loralab_tui.config import keymap

NAMES = {"you": "you", "base": "base", "lora": "LoRA"}
COLOURS = {"base": "$base-voice", "lora": "$lora-voice"}
WRONG = "✕"
UNSEEN = 80  # cells, before there is a layout


class ChatMessage(Widget, can_focus=True):
    """A question of yours, or (with `reply`) an answer to it. Grows by `add` and `flush`; ends with `finish`.

    What a model says in a chat is Markdown; what you typed and what continues a text stands as it is.
    """

    DEFAULT_CSS = """
    ChatMessage {
        height: auto; width: 1fr; padding: 0 1; margin: 0 0 1 0; border-left: outer $faint;
        text-wrap: nowrap; text-overflow: clip;
    }
    ChatMessage.base { border-left: outer $base-voice; }
    ChatMessage.lora { border-left: outer $lora-voice; }
    ChatMessage.-failed { border-left: outer $error; }
    ChatMessage:focus { background: $surface; border-left: thick $primary; }
    ChatMessage.base:focus { border-left: thick $base-voice; }
    ChatMessage.lora:focus { border-left: thick $lora-voice; }
    """

    def __init__(self, about: Round, reply: Reply | None = None) -> None:
        self.about, self.reply = about, reply
        self.speaker = reply.speaker if reply else "you"
        super().__init__(classes=self.speaker)
        self.text = harmless(reply.text if reply else about.question)
        self.note = reply.note if reply else ""
        self.begun = ""  # what the answer under way goes on from
        self.step = reply.step if reply else None
        self.streaming = False
        self._pending: list[str] = []
        self._hovered = False
        self._laid: tuple[object, list[Content]] = (None, [])
        self._known: Known = {}
        self.set_class(reply is not None and reply.failed, "-failed")

    @property
    def title(self) -> str:
        return f"{NAMES[self.speaker]} @{self.step}" if self.step is not None else NAMES[self.speaker]

    # ---- growing

    def begin(self, note: str, *, asked: bool, begun: str = "") -> None:
        """An answer is to come, for the first time or again, or goes on from what was `begun`.

        `asked`: the question is on its way.
        """
        self._pending.clear()
        self.note, self.streaming = note, asked
        self.go_on_from(begun)
        self.remove_class("-failed")

    def go_on_from(self, begun: str) -> None:
        """The answer's beginning as the model reads it."""
        self.begun, self.text = begun, harmless(begun)
        self.paint()

    def add(self, piece: str) -> None:
        """Keep a piece for the next flush."""
        self._pending.append(piece)

    def flush(self) -> bool:
        """Show what came since the last flush; True if anything did."""
        if not self._pending:
            return False
        self.text += harmless("".join(self._pending))
        self._pending.clear()
        self.paint()
        return True

    def finish(self, text: str, note: str) -> None:
        """The whole answer as the engine gave it, which also mends pieces lost on the way."""
        self._pending.clear()
        self.text, self.note, self.streaming = harmless(text), note, False
        self.paint()

    def settle(self) -> None:
        """As its reply is kept now."""
        assert self.reply is not None
        self.step = self.reply.step
        self.set_class(self.reply.failed, "-failed")
        self.finish(self.reply.text, self.reply.note)

    # ---- showing

    def paint(self) -> None:
        """A new picture; neighbours move only when this one's height changed."""
        before = len(self._laid[1])
        self.refresh(layout=self.content_size.width == 0 or len(self._lines(self.content_size.width)) != before)

    def render(self) -> Content:
        """All of it, for what selects text."""
        return Content("\n").join(self._lines(self.content_size.width or UNSEEN))

    def render_line(self, y: int) -> Strip:
        """Only the lines that are seen are drawn: a long answer costs no more than a short one as it grows."""
        width = self.content_size.width
        lines = self._lines(width)
        line = lines[y] if y < len(lines) else Content("")
        if self.text_selection is not None and (span := self.text_selection.get_span(y)) is not None:
            begin, end = span
            marked = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            line = line.stylize(marked, begin, len(line) if end == -1 else end)
        (strip,) = Visual.to_strips(self, line, width, 1, self.visual_style, apply_selection=False) or [Strip([])]
        return strip.apply_offsets(0, y)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def _lines(self, width: int) -> list[Content]:
        width = max(2, width)  # a window may have no room at all, and a letter may take two cells
        said = (self.text, self.note, self.title, self.streaming, width, self._choices())
        if self._laid[0] != said:
            self._laid = (said, [*self._head(width), *self._body(width)])
        return self._laid[1]

    def _head(self, width: int) -> list[Content]:
        """The name, what is to be noted, and at the right what can be done with it."""
        failed = self.note.startswith(WRONG)
        title = Content.styled(self.title, f"bold {COLOURS.get(self.speaker, '$quiet')}")
        note = Content.styled(f"  {harmless(self.note)}" if self.note else "", "$error" if failed else "$quiet")
        if failed:  # a sentence to read in full
            then = f"{keymap.name('more')} goes on" if self._goes_on else f"{keymap.name('again')} asks again"
            return Content.assemble(title, note, (f"  {then}", "$quiet")).wrap(width)
        actions = self._actions(width - title.cell_length - 2)
        head = Content.assemble(title, note).truncate(max(0, width - actions.cell_length - 1), ellipsis=True)
        return [head.pad_right(width - head.cell_length - actions.cell_length) + actions]

    def _choices(self) -> tuple[str, ...]:
        if self.streaming or not self.can_focus or not (self.has_focus or self._hovered):
            return ()
        if self.reply is None:
            return ("copy", "edit")
        return ("copy", "again", "more") if self._goes_on else ("copy", "again")

    @property
    def _goes_on(self) -> bool:
        return self.reply is not None and self.reply.cut

    def _actions(self, room: int) -> Content:
        """Mouse targets, with the keys that do the same where there is room for them."""
        names = [(id, keymap.BY_ID[id].label.lower(), keymap.name(id)) for id in self._choices()]
        for form in ("{0} {1}", "{0}"):
            texts = [(id, form.format(label, key)) for id, label, key in names]
            if sum(len(text) + 3 for _, text in texts) <= room:
                links = [Content.from_markup(f"[@click=want('{id}')]$text[/]", text=text) for id, text in texts]
                return Content.styled(" · ", "$quiet").join(links)
        return Content("")

    def _body(self, width: int) -> list[Content]:
        plain = self.reply is None or self.about.continues
        if plain:
            lines = Content(without_empty_stretches(self.text)).wrap(width) if self.text.strip() else []
        else:
            lines = markdown_lines(without_empty_stretches(self.text), width, self._known)
            if not self.streaming:
                self._known.clear()
        if self.streaming:
            last = lines.pop() if lines else Content("")
            lines += Content.assemble(last, " ▌").wrap(width) if last.cell_length + 2 > width else [last + " ▌"]
        return lines

    # ---- the mouse

    async def action_want(self, what: str) -> None:
        """One of its own actions was clicked: the same as the key, about this message."""
        self.screen.set_focus(self, scroll_visible=False)
        await self.app.run_action(what)

    def on_focus(self) -> None:
        self.paint()

    def on_blur(self) -> None:
        self.paint()

    def on_enter(self, event: Enter) -> None:
        self._hovered = True
        self.paint()

    def on_leave(self, event: Leave) -> None:
        self._hovered = False
        self.paint()


def without_empty_stretches(text: str) -> str:
    """A young adapter may say nothing but line breaks: counted in a word instead of filling the screen."""

    def counted(match: re.Match[str]) -> str:
        return f"\n… {match[0].count(chr(10)) - 1} empty lines\n"

    return re.sub(r"\n(?:[ \t]*\n){3,}", counted, text).rstrip("\n")
