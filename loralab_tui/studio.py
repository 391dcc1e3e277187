"""All that the screen shows, as plain data, and what it means: where one stands and what to do next."""

from dataclasses import dataclass, field
from pathlib import Path

from loralab_core.wire.messages import EngineStatus
from loralab_tui import words
from loralab_tui.plan import Plan
from loralab_tui.run_view import Phase, RunView


@dataclass
class Corpus:
    """`note` is what reading it found ("plain text, 40,000 lines"), or nothing yet."""

    path: str
    note: str = ""

    @property
    def name(self) -> str:
        return Path(self.path).name or self.path


@dataclass
class Studio:
    """One model, one corpus, one run on the screen at a time."""

    model: str | None = None
    corpus: Corpus | None = None
    plan: Plan = field(default_factory=Plan)
    status: EngineStatus | None = None
    run: RunView | None = None
    opening: str = ""
    trouble: str = ""
    silent_s: int = 0
    live_elsewhere: str = ""

    @property
    def model_name(self) -> str | None:
        return Path(self.model).name if self.model else None

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
            self.run.doing, self.run.share = what, share
        percent = f" {100 * done // total}% of {words.size(total)}" if total else ""
        self.opening = "" if total and done >= total else f"{what}{percent}"

    @property
    def can_train(self) -> bool:
        return self.model is not None and self.corpus is not None

    @property
    def lora_missing(self) -> str:
        """Why LoRA cannot answer now; empty when it can."""
        if self.run is None:
            return "there is no LoRA yet, F2 trains one"
        if self.run.phase in (Phase.PREPARING, Phase.FAILED) and not len(self.run.curve):
            return "LoRA can answer after the first step"
        return ""

    @property
    def train_label(self) -> str:
        """What F2 does now, in one word."""
        phase = self.run.phase if self.run else None
        return (
            {
                Phase.TRAINING: "Pause",
                Phase.PREPARING: "Preparing",
                Phase.PAUSED: "Go on",
                Phase.STOPPING: "Stopping",
                Phase.STOPPED: "Resume",
                Phase.LOST: "Resume",
                Phase.DONE: "Train again",
            }.get(phase, "Train")
            if phase
            else "Train"
        )


@dataclass(frozen=True)
class Card:
    """A few words above the curve. `tone`: "plain", "good", "bad"."""

    title: str
    text: str
    tone: str = "plain"


def card(studio: Studio) -> Card | None:
    """What is the matter now and what to press; None while the training shows it by itself."""
    if studio.silent_s:
        return Card(
            f"The engine has not answered for {studio.silent_s} s",
            "It may be busy or frozen. The run is a directory and stays whole; wait, or leave with ^q and come back.",
            "bad",
        )
    if studio.run is not None:
        return _run_card(studio, studio.run)
    if studio.trouble:
        return Card("This did not work", f"{studio.trouble}", "bad")
    if studio.opening:
        return Card("One moment", f"{studio.opening}…")
    return _setup_card(studio)


def _setup_card(studio: Studio) -> Card:
    if studio.model is None or studio.corpus is None:
        return Card(
            "Here you will watch the loss fall",
            "Training leaves the model itself as it is and learns a small adapter beside it (LoRA) from your corpus. "
            "The lower the loss, the better it foretells that text.",
        )
    sentence = studio.plan.sentence(studio.corpus.path, studio.corpus.note)
    return Card("Ready", f"F2 {sentence}\nF4 changes the settings.", "good")


def _run_card(studio: Studio, run: RunView) -> Card | None:
    if run.phase is Phase.DONE:
        return Card(
            f"Done: {run.step} steps in {words.clock(run.numbers.get('seconds'))}",
            f"{_from_to(run)}\nF3 ask base and LoRA the same · F8 export the adapter · F2 train again",
            "good",
        )
    if run.phase is Phase.STOPPED:
        return Card(
            f"Stopped at step {run.step}",
            f"{_because(run)}Everything up to there is kept. F2 resumes · F8 export the adapter",
        )
    if run.phase is Phase.FAILED:
        return Card("Training failed", f"{_because(run)}F2 tries again; F4 changes the settings.", "bad")
    if run.phase is Phase.LOST:
        kept = (
            f"goes on from step {run.checkpoint}" if run.checkpoint else "begins again: no checkpoint was written yet"
        )
        return Card("The engine is gone", f"{_because(run)}F2 {kept}.", "bad")
    return None


def _because(run: RunView) -> str:
    return f"{run.why[0].upper()}{run.why[1:].rstrip('.')}. " if run.why else ""


def _from_to(run: RunView) -> str:
    """Validation where there is one before and after, because single steps jump about."""
    if len(run.validation) > 1 and run.best is not None:
        first, last = run.validation[0], run.validation[-1]
        best = "" if run.best == last else f", best {run.best[1]:.2f} at step {run.best[0]}"
        return f"Validation loss {first[1]:.2f} → {last[1]:.2f}{best}."
    losses = [loss for loss in run.curve.losses if loss == loss]
    return f"Loss of the first step {losses[0]:.2f}, of the last {losses[-1]:.2f}." if losses else ""
