"""Who is spoken to in a run that is opened: whoever was last, else LoRA where it can answer, else the base."""

import json

import pytest

from loralab_core.runs.directory import RunDirectory
from loralab_tui.app import Options, StudioApp
from tests.runs.writing import write
from tests.tui.driving import asked, ready, training, type_line, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run, made_steps


def keep(run: RunDirectory, *speakers: str, question: str = "who") -> None:
    """One question, answered by these, as the engine writes it down."""
    with run.chat_path.open("a") as file:
        for speaker in speakers:
            messages = [{"role": "user", "content": question}]
            file.write(json.dumps({"speaker": speaker, "messages": messages, "text": "a king"}) + "\n")


def on(run: RunDirectory, engine: FakeEngine) -> StudioApp:
    return StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)


def speaker(app: StudioApp) -> str:
    return app.main.chat.speaker.value


@pytest.mark.parametrize(
    ("kept", "spoken_to"),
    [
        ([], "lora"),
        ([("base", "lora"), ("lora",)], "lora"),
        ([("lora",), ("base",)], "base"),
        ([("base",), ("base", "lora")], "both"),
    ],
)
async def test_it_goes_on_with_whom_the_conversation_was_held_last(
    engine: FakeEngine, kept: list[tuple[str, ...]], spoken_to: str
) -> None:
    run = made_run(20)
    for number, speakers in enumerate(kept):
        keep(run, *speakers, question=str(number))
    app = on(run, engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status and app.studio.run and app.studio.run.step == 20)
        assert speaker(app) == spoken_to
        await type_line(pilot, "why")
        assert (await asked(pilot, engine)).speaker == ("lora" if spoken_to == "lora" else "base")


async def test_without_a_checkpoint_there_is_nobody_but_the_base(engine: FakeEngine) -> None:
    run = made_run(5, end=None)
    keep(run, "lora")
    app = on(run, engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status and app.studio.run and app.studio.run.step == 5)
        assert speaker(app) == "base" and app.main.chat.speaker.options[1].disabled
        assert "no checkpoint" in str(app.main.chat.speaker.options[1].tooltip)


async def test_the_base_stands_in_until_the_lora_of_a_running_run_can_answer(
    app: StudioApp, engine: FakeEngine
) -> None:
    run = made_run(0, end=None, total=40)
    engine.begin_run(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.run and app.studio.run.total_steps == 40)
        assert speaker(app) == "base"
        engine.steps(1, 1)
        await until(pilot, lambda: speaker(app) == "lora")


@pytest.mark.parametrize("spoken_to", ["base", "lora"])
async def test_who_was_asked_meanwhile_stays(app: StudioApp, engine: FakeEngine, spoken_to: str) -> None:
    engine.begin_run(made_run(0, end=None, total=40))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.run and app.studio.run.total_steps == 40)
        if spoken_to == "base":
            await type_line(pilot, "hi")
            await asked(pilot, engine)
        engine.steps(1, 2)
        await until(pilot, lambda: app.studio.run and app.studio.run.step == 2)
        app.main.show()
        assert speaker(app) == spoken_to


async def test_a_choice_outlasts_the_time_in_which_lora_cannot_answer(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=3)
        assert speaker(app) == "base", "a new run is no reason to speak to another one"
        await pilot.press("f3")
        engine.event(event="resumed", step=0, steps=100)
        await until(pilot, lambda: speaker(app) == "base")
        engine.steps(1, 1)
        await until(pilot, lambda: speaker(app) == "lora")


async def test_a_run_opened_beside_a_chosen_adapter_speaks_for_itself(app: StudioApp, engine: FakeEngine) -> None:
    run = made_run(20)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.use_adapter("/adapters/pirate")
        await app.runs.open_run(str(run.path))
        assert speaker(app) == "lora" and "LoRA @20" in str(app.main.chat.speaker.options[1].render())
        await type_line(pilot, "who")
        assert (await asked(pilot, engine)).speaker == "lora"


async def test_another_model_begins_with_its_base(app: StudioApp, engine: FakeEngine) -> None:
    run = made_run(20)
    keep(run, "lora")
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.runs.open_run(str(run.path))
        assert speaker(app) == "lora"
        await app.setup.use_model("owner/another")
        await training(app, pilot, engine, steps=2)
        assert speaker(app) == "base"


async def test_a_run_that_gains_a_checkpoint_can_be_asked_after_its_end(engine: FakeEngine) -> None:
    run = made_run(5, end=None, total=12)
    write(run, *made_steps(6, 12, 12), {"event": "checkpoint", "step": 12}, {"event": "failed", "why": "no room"})
    app = on(run, engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status and app.studio.run and app.studio.run.step == 12)
        assert speaker(app) == "lora"
