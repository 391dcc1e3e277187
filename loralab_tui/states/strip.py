"""The training side in one line, for the chat when it has the screen to itself."""

from textual.content import Content

from loralab_core.runs.summary import spark, thin
from loralab_tui import words
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.cards import card
from loralab_tui.studio import Studio
from loralab_tui.widgets.card_box import SIGNS

CURVE = 12  # cells


def training_strip(studio: Studio) -> Content:
    """What the card says where there is no run yet or trouble with it; otherwise how the run stands."""
    shown = card(studio)
    if shown is not None and (studio.run is None or shown.tone == "bad" or studio.run.phase is Phase.LOST):
        said = words.one_line(shown.text)
        colour = {"bad": "$error", "good": "$success"}.get(shown.tone, "$foreground")
        return Content.assemble((f"{SIGNS[shown.tone]}{shown.title}", f"bold {colour}"), f" · {said}")
    return Content(run_line(studio.run)) if studio.run is not None else Content("")


def run_line(run: RunView) -> str:
    """ "▇▅▃▂▁ 2.81 · 55% · 1,702 tok/s · 2:07 left"."""
    if not len(run.curve):
        return run.doing if run.phase is Phase.PREPARING else run.phase.value
    losses = [loss if loss == loss else None for loss in thin(run.curve.losses, CURVE)]
    share = f"{100 * run.step // run.total_steps}%" if run.total_steps else f"step {run.step}"
    parts = [f"{spark(losses)} {words.real(run.curve.losses[-1])}", share]
    if run.phase is Phase.TRAINING:
        speed = run.numbers.get("tokens_per_s")
        parts += [f"{speed:,.0f} tok/s"] if speed else []
        parts.append(f"{words.clock(run.numbers.get('eta_s'))} left")
    else:
        parts.append(run.phase.value)
    return " · ".join(parts)
