"""Every screen and state, each as the keys and events that lead to it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.widgets import Input

from loralab_core.runs.directory import RunDirectory
from loralab_core.wire import messages as wire
from loralab_tui.runs.view import Phase
from tests.catalog.hub_server import LLAMA
from tests.tui.driving import seen
from tests.tui.pictures.stage import PLACE, Stage, aged_run

Lead = Callable[[Stage], Awaitable[None]]
MAIN: dict[str, Lead] = {}
EMPTY: dict[str, Lead] = {}  # those that begin without model and corpus
BUNDLED: dict[str, Lead] = {}  # those that begin with Pocket and the sample corpus
TALE = "**The sea** is wide:\n\n1. fish live in it\n2. ships *sail* on it\n\n```\nwave()\n```\n\n> It never sleeps."


def state(lead: Lead) -> Lead:
    MAIN[lead.__name__] = lead
    return lead


def empty(lead: Lead) -> Lead:
    EMPTY[lead.__name__] = lead
    return lead


def pocket(lead: Lead) -> Lead:
    BUNDLED[lead.__name__] = lead
    return lead


# ---- before a run


@empty
async def nothing_yet(stage: Stage) -> None:
    await stage.pilot.pause()


@empty
async def a_run_lives_elsewhere(stage: Stage) -> None:
    await stage.pilot.pause()
    stage.app.studio.live_elsewhere, stage.app.studio.live_directory = "shakespeare", "/runs/shakespeare"
    stage.app.main.show()


@empty
async def model_picker(stage: Stage) -> None:
    mine = PLACE / "home" / "models" / "letters-of-1820"
    mine.mkdir(parents=True)
    (mine / "config.json").write_text(json.dumps(LLAMA))
    (mine / "model.safetensors").write_bytes(b"\0" * 300_000)
    await stage.press("f6")
    await stage.until(lambda: getattr(stage.app.screen, "room", None))


@empty
async def wrong_model(stage: Stage) -> None:
    await model_picker(stage)
    stage.app.screen.query_one(Input).value = str(PLACE / "work")
    await stage.press("enter")
    await stage.until(lambda: stage.app.screen.query_one("#said").has_class("-wrong"), "what is wrong")


@empty
async def corpus_picker(stage: Stage) -> None:
    await stage.press("f7")
    await stage.until(lambda: "plays.txt" in seen(stage.app), "the tree")


@empty
async def no_runs(stage: Stage) -> None:
    await stage.press("f5")


@state
async def loading(stage: Stage) -> None:
    await stage.until(lambda: stage.app.studio.status)
    stage.engine.send(wire.Loading(done=167_000_000, total=269_000_000, what="reading the model"))
    await stage.until(lambda: stage.app.studio.opening_share)
    stage.app.main.show()


@state
async def ready_to_train(stage: Stage) -> None:
    await stage.ready()


@state
async def settings(stage: Stage) -> None:
    await stage.ready()
    await stage.press("f4")


@state
async def palette(stage: Stage) -> None:
    await stage.ready()
    await stage.press("ctrl+p")
    await stage.until(lambda: "Let LoRA answer" in seen(stage.app), "the list")


@pocket
async def ready_with_pocket(stage: Stage) -> None:
    await stage.ready()
    await stage.press("ctrl+t")
    await stage.until(lambda: "Asked again at every checkpoint" in seen(stage.app), "the preview")


@pocket
async def what_the_model_will_see(stage: Stage) -> None:
    await stage.ready()
    await stage.press("f10")
    await stage.until(lambda: "of 256 tokens" in seen(stage.app) or "windows" in seen(stage.app), "the figures")


# ---- a run


@state
async def training(stage: Stage) -> None:
    await stage.train()


@state
async def talking_while_training(stage: Stage) -> None:
    await stage.train()
    await stage.press("f3", "f3")
    await stage.ask(1, "Tell me about the sea.", TALE, "Arr, the sea be wide an' deep, me hearty!")


@state
async def paused(stage: Stage) -> None:
    await stage.train()
    await stage.press("f2")
    await stage.until(lambda: stage.app.studio.run and stage.app.studio.run.phase is Phase.PAUSED)


@state
async def a_gap_and_a_resume(stage: Stage) -> None:
    await stage.train(40)
    for step in (41, 42, 43):
        stage.engine.event(event="step", step=step, loss=None, lr=1e-4, tokens=4096 * step)
    stage.engine.steps(44, 60)
    stage.engine.event(event="resumed", step=50, steps=100)
    stage.engine.event(event="changed", at_step=52, lr=1e-4)
    stage.engine.steps(51, 70)
    await stage.until(lambda: stage.app.studio.run and stage.app.studio.run.step == 70)
    stage.app.main.show()


@state
async def done(stage: Stage) -> None:
    await stage.train()
    await stage.end("done")


@state
async def training_side(stage: Stage) -> None:
    await stage.train()
    await stage.press("ctrl+t")


@state
async def done_side(stage: Stage) -> None:
    await done(stage)
    await stage.press("ctrl+t")


@state
async def trouble_side(stage: Stage) -> None:
    await out_of_memory(stage)
    await stage.press("ctrl+t")


@state
async def export(stage: Stage) -> None:
    await stage.train()
    adapter(stage)
    await stage.press("f8")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def stopped(stage: Stage) -> None:
    await stage.train()
    await stage.end("stopped", why="stopped by the user")


@state
async def out_of_memory(stage: Stage) -> None:
    await stage.train()
    await stage.end("failed", why="the device is out of memory: 2.0 GB were asked for, 0.4 GB are free", kind="failed")


@state
async def engine_gone(stage: Stage) -> None:
    await stage.train()
    await stage.engine.die()
    await stage.until(lambda: stage.app.studio.run and stage.app.studio.run.phase is Phase.LOST)


@state
async def engine_silent(stage: Stage) -> None:
    await stage.train()
    stage.app.studio.silent_s = 14
    stage.app.main.show()


# ---- screens of a run


@state
async def stop_question(stage: Stage) -> None:
    await stage.train()
    await stage.press("f9")


@state
async def leave_question(stage: Stage) -> None:
    await stage.train()
    await stage.press("ctrl+q")


@state
async def train_on_question(stage: Stage) -> None:
    await stage.train()
    await stage.end("done")
    await stage.press("f2")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def three_prompts(stage: Stage) -> None:
    await stage.train()
    await stage.press("ctrl+s")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def live_batch(stage: Stage) -> None:
    await stage.train()
    await stage.press("f10")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def help(stage: Stage) -> None:
    await stage.ready()
    await stage.press("f1")


@state
async def sampling(stage: Stage) -> None:
    await stage.ready()
    await stage.press("ctrl+g")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def jump_labels(stage: Stage) -> None:
    await stage.ready()
    await stage.press("ctrl+o")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def themes(stage: Stage) -> None:
    await stage.ready()
    await stage.press("alt+n")
    await stage.until(lambda: stage.app.screen is not stage.app.main)


@state
async def commands_while_typing(stage: Stage) -> None:
    await stage.ready()
    await stage.press(*"/te")


@state
async def runs(stage: Stage) -> None:
    made()
    await stage.ready()
    await stage.press("f5")
    await stage.until(lambda: stage.app.screen is not stage.app.main)
    await stage.until(lambda: "finished" in seen(stage.app), "the list")


@state
async def comparison(stage: Stage) -> None:
    await runs(stage)
    await stage.press("space", "down", "space", "f3")
    await stage.until(lambda: type(stage.app.screen).__name__ == "CompareRuns")


def adapter(stage: Stage) -> None:
    """As a checkpoint leaves it, as far as exporting looks."""
    assert stage.engine.run is not None
    place = RunDirectory(Path(stage.engine.run)).checkpoints / "step-000060"
    place.mkdir(parents=True, exist_ok=True)
    (place / "adapter_config.json").write_text("{}")
    (place / "adapter_model.safetensors").write_bytes(b"")


def made() -> None:
    aged_run("plays", steps=80)
    aged_run("verses", steps=40, end="stopped", total=100, pace=2.5, lr=1e-3)
    aged_run("letters", steps=30, end="failed")
