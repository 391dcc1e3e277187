"""The card of a run that has ended: what came of it or what went wrong, and what to press next."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, isnan
from pathlib import Path

from textual.content import Content

from loralab_core.processes import Identity
from loralab_core.runs.directory import RunDirectory
from loralab_tui import words
from loralab_tui.chat.harmless import harmless
from loralab_tui.chat.samples import BASE
from loralab_tui.config import keymap
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.causes import OTHER_VERSION
from loralab_tui.states.trouble import Trouble, trouble

ANSWER = 300  # characters of an answer; the width cuts earlier


@dataclass(frozen=True)
class Card:
    """A few words above the curve. `tone`: "plain", "good", "bad". `lines`: more, each cut to the width."""

    title: str
    text: str
    tone: str = "plain"
    lines: tuple[Content, ...] = ()


def run_card(run: RunView) -> Card | None:
    """None while the training shows by itself how it stands."""
    if run.phase is Phase.DONE:
        return _done(run)
    if run.phase is Phase.STOPPED:
        return _stopped(run)
    if run.phase is Phase.FAILED:
        return failed(run_trouble(run), run.why)
    if run.phase is Phase.LOST:
        return _lost(run) if run.writer is None else _elsewhere(run, run.writer)
    return None


def run_trouble(run: RunView) -> Trouble:
    kind = "interrupted" if run.phase is Phase.LOST and not run.why else run.kind
    return trouble(run.why, kind, run.config, again(run), run.remedies)


def resumes(run: RunView) -> bool:
    """Whether F2 takes it up where it was saved, rather than starting anew or asking how."""
    if run.phase is Phase.FAILED:
        return run.checkpoint is not None and not run_trouble(run).remedies
    return run.phase in (Phase.STOPPED, Phase.LOST)


def again(run: RunView) -> str:
    """What F2 does with a run that did not come to its end: follows the key."""
    if run.checkpoint:
        return f"goes on from step {run.checkpoint:,}"
    return "begins again: no checkpoint was written yet"


def failed(what: Trouble, why: str) -> Card:
    """What happened, in our words and in the engine's; what it means; what to press."""
    return Card(what.title, f"{sentence(why)}{what.meaning}\n{what.press}", "bad")


def sentence(why: str) -> str:
    return f"{why[0].upper()}{why[1:].rstrip('.')}.\n" if why else ""


def _done(run: RunView) -> Card:
    compare = "" if run.full else f"{_key('speaker')} compare · "
    prompts = f" · {_key('prompts')} all prompts" if run.samples.prompts else ""
    return Card(
        f"Done: {run.step:,} steps in {words.clock(run.numbers.get('seconds'))}",
        f"{before_after(run)}\n{compare}{_key('export')} export · {_key('train')} train on…{prompts}",
        "good",
        same_prompt(run),
    )


def _stopped(run: RunView) -> Card:
    return Card(
        f"Stopped at step {run.step:,}",
        f"{sentence(run.why)}Everything up to there is kept.\n{_key('train')} resumes · {_key('export')} export it",
    )


def _lost(run: RunView) -> Card:
    what = run_trouble(run)
    then = what.press if OTHER_VERSION.is_said(run.why) else f"{_key('train')} {again(run)}."
    return Card(what.title, f"{sentence(run.why)}{what.meaning}\n{then}", "bad")


def _elsewhere(run: RunView, writer: Identity) -> Card:
    """It may well live; only here it cannot be followed."""
    if writer.is_here:
        return Card(
            "Trained by another program",
            f"Process {writer.pid} trains this run, and cannot be followed from here. Shown is what it has written.\n"
            f"{_key('runs')} shows what came since; {_key('train')} {again(run)}, once that process has ended.",
        )
    return Card(
        f"Trained on {writer.host}",
        f"Process {writer.pid} there trains this run, as far as its files say; there it can be followed. "
        f"Shown is what it has written; {_key('runs')} shows what came since.\n"
        f"If it is over, remove {RunDirectory(Path(run.directory)).owner_path}; then {_key('train')} {again(run)}.",
    )


def before_after(run: RunView) -> str:
    """Validation where there is one before and after, because single steps jump about."""
    if len(run.validation) > 1 and run.best is not None:
        first, last = run.validation[0][1], run.validation[-1][1]
        best = "" if run.best == run.validation[-1] else f" (best {run.best[1]:.2f} at step {run.best[0]:,})"
        said = f"Validation loss {first:.2f} → {last:.2f}{best}"
        return f"{said}, perplexity {_perplexity(first)} → {_perplexity(last)}"
    begun, ended = _first_number(run.curve.losses), _first_number(reversed(run.curve.losses))
    return "" if begun is None or ended is None else f"Loss of the first step {begun:.2f}, of the last {ended:.2f}"


def _first_number(losses: Iterable[float]) -> float | None:
    """None where all are NaN. Reads no further than it: this is asked at every refresh."""
    return next((loss for loss in losses if not isnan(loss)), None)


def _perplexity(loss: float) -> str:
    return f"{exp(loss):.1f}" if loss < 20 else "over a million"


def same_prompt(run: RunView) -> tuple[Content, ...]:
    """The first prompt, answered by the base and by the last step that answered it; nothing where one is missing."""
    samples = run.samples
    steps = [step for step in samples.steps if samples.said(step, 0) is not None]
    before = samples.said(BASE, 0)
    if before is None or not steps:
        return ()
    after = samples.said(steps[-1], 0) or ""
    return (
        Content.assemble(("asked  ", "$quiet"), _line(samples.prompts.get(0, ""))),
        Content.assemble(("base   ", "bold $base-voice"), _line(before)),
        Content.assemble(("LoRA   ", "bold $lora-voice"), _line(after)),
    )


def _line(text: str) -> str:
    return words.one_line(harmless(text))[:ANSWER] or "(nothing)"


def _key(action: str) -> str:
    return keymap.name(action)
