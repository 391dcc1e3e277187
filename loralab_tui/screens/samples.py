"""The same prompts, step by step: the base's answers beside those of each checkpoint, walked through with ← and →."""

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import HorizontalGroup, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from loralab_tui.chat.conversation import Reply, Round
from loralab_tui.chat.harmless import harmless
from loralab_tui.chat.prompts import COUNT, next_prompts
from loralab_tui.chat.samples import BASE
from loralab_tui.chat.samples import Samples as Answered
from loralab_tui.screens.dialog import Dialog
from loralab_tui.studio import Studio
from loralab_tui.widgets.message import ChatMessage
from loralab_tui.widgets.transcript import Answers

LOOK_S = 1.0
SIDE_BY_SIDE = 72
WHAT_IT_IS = (
    "While it trains, the base model and then every checkpoint answer the same few prompts, always the likeliest "
    "words. Here they stand beside each other, so that you can watch the change."
)


class Samples(Dialog[None]):
    """All prompts at one step. Stays at the newest step until one walks back."""

    CSS_PATH = ["dialog.tcss", "samples.tcss"]
    BINDINGS = [
        Binding("left", "walk(-1)", "Earlier", show=False, priority=True),
        Binding("right", "walk(1)", "Later", show=False, priority=True),
        Binding("enter", "change", "Other prompts", show=False),
    ]

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.studio = studio
        self.at: int | None = None  # the step that is shown; None: the newest
        self.rows: dict[int, Answers] = {}
        self.next_prompts: tuple[str, ...] = ()
        self.seen = -1  # the run's revision

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "The same prompts, step by step"
            box.border_subtitle = "←/→: step · Enter: other prompts · Esc: back"
            yield Static(id="steps")
            with VerticalScroll(id="said-by-step", classes="first"):
                yield Static(WHAT_IT_IS, id="what", markup=False)
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Other prompts…", id="change")

    def on_mount(self) -> None:
        self.show()
        self.look_up_prompts()
        self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        revision = self.studio.run.revision if self.studio.run is not None else 0
        if revision != self.seen:
            self.seen = revision
            self.show()

    @property
    def answered(self) -> Answered:
        return self.studio.run.samples if self.studio.run is not None else Answered()

    @property
    def step(self) -> int:
        steps = self.answered.steps
        if self.at in steps:
            return self.at or BASE
        return steps[-1] if steps else BASE

    def show(self) -> None:
        """What there is by now; the widgets of a prompt stay, their words change."""
        self.query_one("#what").display = not self.answered.prompts
        for index, prompt in sorted(self.answered.prompts.items()):
            if index not in self.rows:
                self._add(index, prompt)
            self._tell(index)
        self.query_one("#steps", Static).update(self._steps())
        self.query_one("#said", Static).update(self._below())

    def _add(self, index: int, prompt: str) -> None:
        said = Round(prompt, True, [Reply("base"), Reply("lora")])
        self.rows[index] = Answers(said, self.app.size.width >= SIDE_BY_SIDE)
        for message in self.rows[index].messages:
            message.can_focus = False
        question = Static(harmless(prompt), markup=False, classes="question")
        self.query_one("#said-by-step").mount(question, self.rows[index])

    def _tell(self, index: int) -> None:
        base, lora = self.rows[index].messages
        _say(base, BASE, self.answered.said(BASE, index))
        _say(lora, self.step, self.answered.said(self.step, index) if self.step != BASE else None)

    def _steps(self) -> Content:
        """ "◂ 25  50 [75] 100 ▸", as many around the present one as there is room for."""
        steps, room = self.answered.steps, max(3, (self.app.size.width - 30) // 8)
        if not steps:
            return Content.styled("no checkpoint has answered yet", "$quiet")
        at = steps.index(self.step)
        first = max(0, min(at - room // 2, len(steps) - room))
        parts = [Content.styled("checkpoint ", "$quiet"), Content("◂ " if first else "  ")]
        for step in steps[first : first + room]:
            here = Content.styled(f"●{step}", "bold $lora-voice")
            there = Content.from_markup(f"[@click=screen.go({step})] {step}[/]")
            parts += [here if step == self.step else there, Content("  ")]
        return Content("").join([*parts, Content("▸" if first + room < len(steps) else "")])

    def _below(self) -> str:
        if self.answered.prompts and self.next_prompts in ((), tuple(self.answered.prompts.values())):
            return ""
        asked = " · ".join(harmless(prompt) for prompt in self.next_prompts)
        return f"The next run will be asked: {asked}" if asked else "The next run will be asked nothing yet."

    # ---- walking

    def action_walk(self, by: int) -> None:
        if steps := self.answered.steps:
            at = max(0, min(len(steps) - 1, steps.index(self.step) + by))
            self.at = None if at == len(steps) - 1 else steps[at]
            self.show()

    def action_go(self, step: int) -> None:
        self.at = step if step not in self.answered.steps[-1:] else None
        self.show()

    # ---- what is asked

    @work(exclusive=True)
    async def look_up_prompts(self) -> None:
        self.next_prompts = await next_prompts(self.studio)
        self.show()

    @on(Button.Pressed, "#change")
    def action_change(self) -> None:
        self._change()

    @work(group="prompts", exclusive=True)
    async def _change(self) -> None:
        chosen = await self.app.push_screen_wait(PromptsDialog(self.next_prompts))
        if chosen is not None:
            self.studio.prompts = chosen or None
            self.look_up_prompts()


def _say(message: ChatMessage, step: int, text: str | None) -> None:
    message.step = step or None
    message.finish(text or "", "not answered yet" if text is None else "(said nothing)" if not text.strip() else "")


class PromptsDialog(Dialog[tuple[str, ...]]):
    """Dismissed with the prompts; with none, they are chosen from the corpus again."""

    CSS_PATH = ["dialog.tcss", "samples.tcss"]

    def __init__(self, prompts: tuple[str, ...]) -> None:
        super().__init__()
        self.prompts = prompts

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "What is asked at every checkpoint"
            box.border_subtitle = "Enter: keep · Tab: next · Esc: back"
            yield Static("From the next run on. All empty: three that fit the corpus.", classes="lead")
            for number in range(COUNT):
                given = self.prompts[number] if number < len(self.prompts) else ""
                yield Input(given, classes="first" if number == 0 else "", select_on_focus=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("From the corpus", id="usual")
                yield Button("Keep", id="keep")

    @on(Input.Submitted)
    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        texts = (field.value.strip() for field in self.query(Input))
        self.dismiss(tuple(text for text in texts if text))

    @on(Button.Pressed, "#usual")
    def _usual(self) -> None:
        self.dismiss(())
