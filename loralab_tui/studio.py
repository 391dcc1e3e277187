"""All that the screen shows, as plain data."""

from dataclasses import dataclass, field
from pathlib import Path

from loralab_core.wire.messages import EngineStatus
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.data.model_names import model_name
from loralab_tui.engine.installing import Install
from loralab_tui.plan import Plan
from loralab_tui.runs.away import Away
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.run_cards import resumes


@dataclass
class Corpus:
    """`note` is what reading it found ("plain text, 40,000 lines"), or nothing yet."""

    path: str
    note: str = ""
    is_chat: bool = False  # conversations, not running text
    more: tuple[str, ...] = ()  # places beside `path`, where a run was given several

    @property
    def places(self) -> tuple[str, ...]:
        return (self.path, *self.more)

    @property
    def name(self) -> str:
        first = Path(self.path).name or self.path
        return f"{first} and {len(self.more)} more" if self.more else first


@dataclass
class Studio:
    """One model, one corpus, one run on the screen at a time."""

    model: str | None = None
    corpus: Corpus | None = None
    plan: Plan = field(default_factory=Plan)
    status: EngineStatus | None = None
    own_weights: bool = False  # the engine holds those of one run, which trains all of them
    run: RunView | None = None
    away: Away | None = None  # what happened in the run before it came on the screen, until one acts
    prompts: tuple[str, ...] | None = None  # asked at every checkpoint; None: those that fit model and corpus
    opening: str = ""
    opening_share: float | None = None  # of the model's bytes
    trouble: str = ""
    silent_s: int = 0
    forecast: str = ""  # how many tokens the plan trains, how long that takes here as far as it was measured
    live_elsewhere: str = ""  # the name of a run that trains on this computer, while nothing else is chosen
    live_directory: str = ""
    plan_suits: str = ""  # the model the plan was made for, if it was made for one
    made_plan: Plan = field(default_factory=Plan)  # as it was made for that model: what differs was chosen since
    steps_suit: tuple[str, ...] = ()  # the corpus whose length the plan's steps were made for, unless they were chosen
    install: Install | None = None  # while the engine is not installed yet
    adapter: str | None = None  # LoRA is this directory instead of the run's

    @property
    def model_name(self) -> str | None:
        return model_name(self.model) if self.model else None

    @property
    def model_title(self) -> str | None:
        """With the precision it is held in, once an engine holds it."""
        return f"{self.model_name} {self.status.base}" if self.model and self.status else self.model_name

    @property
    def live(self) -> bool:
        return self.run is not None and self.run.phase.live

    def loading(self, what: str, done: int, total: int) -> None:
        """The base model is being read; told where one looks, which is the run's progress if one waits for it."""
        share = done / total if total else None
        if self.run is not None and self.run.phase is Phase.PREPARING:
            self.run.doing, self.run.share = "preparing" if what == "ready" else what, share
        self.opening_share = share
        percent = f" {100 * done // total}% of {words.size(total)}" if total > 1 else ""
        self.opening = "" if done >= total and (total or not done) else f"{what}{percent}"

    @property
    def can_train(self) -> bool:
        return self.model is not None and self.corpus is not None

    @property
    def train_acts(self) -> bool:
        """Whether F2 does something now; then its button stands out."""
        if self.install is not None:
            return self.install.failed
        if self.run is not None:
            return self.run.phase not in (Phase.PREPARING, Phase.STOPPING)
        return self.can_train or self.offers_live

    @property
    def offers_live(self) -> bool:
        """Whether F2 shows the run that trains here: the next step as long as nothing else was chosen."""
        return bool(self.live_directory) and self.model is None and self.run is None

    @property
    def lora_title(self) -> str:
        """Which LoRA answers: the adapter that was chosen, or that of the run at its step."""
        if self.adapter is not None:
            return f"LoRA {words.shorten(Path(self.adapter).name, 16)}"
        return f"LoRA @{self.run.step}" if self.run is not None and self.run.step else "LoRA"

    @property
    def lora_missing(self) -> str:
        """Why LoRA cannot answer now; empty when it can."""
        if self.adapter is not None:
            return ""
        if self.run is None:
            return f"there is no LoRA yet, {keymap.name('train')} trains one"
        if self.live:
            return "" if len(self.run.curve) else "LoRA can answer after the first step"
        if self.run.checkpoint is None and self.run.adapter is None:
            return "this run left no checkpoint that LoRA could answer from"
        return ""

    @property
    def train_label(self) -> str:
        """What F2 does now, in one word."""
        if self.install is not None:
            return self.install.short
        if self.offers_live:
            return "Watch it"
        if self.run is not None and resumes(self.run):
            return "Resume"
        phase = self.run.phase if self.run else None
        return (
            {
                Phase.TRAINING: "Pause",
                Phase.PREPARING: "Preparing",
                Phase.PAUSED: "Go on",
                Phase.STOPPING: "Stopping",
                Phase.DONE: "Train on…",
                Phase.FAILED: "Try again",
            }.get(phase, "Train")
            if phase
            else "Train"
        )
