"""The right half in each of its states: what it says, and that the next step it names works."""

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.config import keymap
from loralab_tui.engine import oom
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.trouble import before_training, remedies, trouble
from loralab_tui.widgets.figures import numbers
from tests.tui.driving import ready, shown, training, until
from tests.tui.fake_engine import FakeEngine, step_event

OUT_OF_MEMORY = "out of memory; try a smaller --micro-batch, a shorter --seq-len, or --set checkpoint_activations=true"
NO_GRADIENT = "10 steps in a row had no finite gradient; start again with a lower --lr than 0.0002"
SIZES = [(120, 40), (80, 24)]


def said(app: StudioApp) -> str:
    return " ".join(shown(app, "#card").split())


async def ended(app: StudioApp, pilot, engine: FakeEngine, event: str, **facts: object) -> None:
    """A run of twenty steps that has ended with `event`."""
    await training(app, pilot, engine)
    engine.event(event=event, run=engine.run, adapter=None, steps=20, tokens=81920, seconds=250.0, **facts)
    engine.run = None
    phase = {"done": Phase.DONE, "failed": Phase.FAILED, "stopped": Phase.STOPPED}[event]
    await until(pilot, lambda: app.studio.run and app.studio.run.phase is phase, event)
    app.main.show()
    await pilot.pause()


# ---- loading


async def test_loading_says_bytes_and_f9_cancels_it(app: StudioApp, engine: FakeEngine) -> None:
    engine._replies[wire.Load] = lambda request: engine.send(
        wire.Loading(done=62_000_000, total=100_000_000, what="reading the model")
    )
    engine._replies[wire.Cancel] = lambda request: engine.send(
        wire.Failed(id=request.target, sentence="reading the model was cancelled")
    )
    engine._replies[wire.Status] = lambda request: engine.send(
        wire.EngineStatus(id=request.id, pid=1, model="m", base="fp32", device="cpu", loaded=False)
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.studio.opening_share)
        app.main.show()
        assert "Reading the model 62% of 100 MB" in said(app)
        assert "━" in said(app) and "F9 cancels" in said(app)
        engine.send(wire.Loading(done=0, total=1, what="preparing the kernels"))
        await until(pilot, lambda: "Preparing the kernels" in said(app))
        assert "%" not in said(app) and "━" not in said(app) and "F9 cancels" in said(app)
        await pilot.press("f9")
        await until(pilot, lambda: "The model is not loaded" in said(app))
        assert engine.last(wire.Cancel).target == engine.last(wire.Load).id
        assert "F6 chooses another. F2 or a question loads it." in said(app)
        engine.send(wire.EngineStatus(id=0, pid=1, model="m", base="fp32", device="cpu", loaded=True))
        await until(pilot, lambda: "The model is not loaded" not in said(app), "a question has loaded it")


# ---- ready


async def test_ready_says_what_train_will_do_and_when_the_time_is_known(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.studio.status = None  # the fake engine's model is no directory
        app.main.show()
        await until(pilot, lambda: "measured after the first steps" in said(app))
        assert "F2 trains an adapter of rank 8 on corpus.txt" in said(app)
        assert "F10 shows what the model will see" in said(app)


# ---- training


@pytest.mark.parametrize("size", SIZES)
async def test_every_number_of_the_run_is_shown_once(app: StudioApp, engine: FakeEngine, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        await training(app, pilot, engine)
        engine.event(event="eval", step=20, loss=2.0, perplexity=7.39)
        engine.event(**{**step_event(21, 100, 3.0), "epoch": 1.25})
        await until(pilot, lambda: app.studio.run and app.studio.run.step == 21)
        app.main.show()
        text = " ".join(shown(app, "#numbers").split())
        for part in ("loss 3.00", "val 2.00", "best 2.00 @20", "perplexity 7.4", "epoch 1.25", "tok/s 1,702"):
            assert text.count(part) == 1
        assert "memory 1.7 GB" in text and "packed 99%" in text and "gradient 0.83" in text
        assert all(len(line) <= app.main.size.width for line in shown(app, "#numbers").splitlines())


def test_numbers_nobody_gave_are_dashes() -> None:
    view = RunView("/runs/a")
    view.apply({"seq": 1, "event": "step", "step": 1, "loss": None})
    text = " ".join(str(numbers(view, 60)).split())
    assert "loss –" in text and "val –" in text and "epoch –" in text


async def test_the_events_stay_at_the_newest_and_can_be_paged_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        for number in range(30):
            engine.event(event="warning", sentence=f"notice {number}")
        await until(pilot, lambda: app.studio.run and app.studio.run.log[-1] == "! notice 29")
        app.main.show()
        events = app.main.training.events
        await until(pilot, lambda: events.scroll_offset.y == events.max_scroll_y > 0)
        await pilot.press("tab", "pageup")
        await until(pilot, lambda: events.scroll_offset.y < events.max_scroll_y)
        await pilot.press("pagedown", "pagedown", "pagedown")
        await until(pilot, lambda: events.scroll_offset.y == events.max_scroll_y)


async def test_the_live_batch_is_a_click_away(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        assert "F10 live batch" in shown(app, "#way-data")
        await pilot.click("#way-data")
        await until(pilot, lambda: type(app.screen).__name__ == "DataView")


# ---- done


@pytest.mark.parametrize("size", SIZES)
async def test_done_shows_before_and_after(app: StudioApp, engine: FakeEngine, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        await training(app, pilot, engine)
        engine.event(event="eval", step=0, loss=3.9, perplexity=49.4)
        engine.event(event="sample", step=0, index=0, prompt="Who are you?", text="a man")
        engine.event(event="eval", step=20, loss=2.95, perplexity=19.1)
        engine.event(event="sample", step=20, index=0, prompt="Who are you?", text="the\nking " + "and more " * 40)
        engine.event(event="done", run=engine.run, adapter="/a", steps=20, tokens=1, seconds=250.0)
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)
        if size == (80, 24):
            await pilot.press("ctrl+t")
        app.main.show()
        await pilot.pause()
        app.main.show()
        assert "Validation loss 3.90 → 2.95, perplexity 49.4 → 19.1" in said(app)
        assert "base a man" in said(app) and "LoRA the king and more" in said(app)
        assert "F3 compare · F8 export · F2 train on…" in said(app)
        assert len(shown(app, "#card").splitlines()) <= 7  # each answer on a line of its own


async def test_train_on_adds_steps_to_the_same_run(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ended(app, pilot, engine, "done")
        run = app.studio.run.directory if app.studio.run else ""
        await pilot.press("f2")
        await until(pilot, lambda: app.screen.query("#more"))
        assert "20 steps" in str(app.screen.query_one(".lead").render())
        app.screen.query_one("#more", Input).value = "x"
        await until(pilot, lambda: "no number of steps" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        assert app.screen is not app.main
        app.screen.query_one("#more", Input).value = "15"
        await until(pilot, lambda: "to step 35" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        assert (engine.last(wire.Resume).run, engine.last(wire.Resume).steps) == (run, 35)


async def test_train_on_can_begin_a_new_run(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ended(app, pilot, engine, "done")
        before = len([one for one in engine.asked if isinstance(one, wire.Train)])
        await pilot.press("f2")
        await until(pilot, lambda: app.screen.query("#new"))
        await pilot.click("#new")
        await until(pilot, lambda: len([one for one in engine.asked if isinstance(one, wire.Train)]) == before + 1)


# ---- trouble


async def test_out_of_memory_offers_what_needs_less_and_starts_again(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        engine.event(event="prepared", step=0, steps=100, micro_batch=8, seq_len=256)
        await until(pilot, lambda: app.studio.run and app.studio.run.config.get("micro_batch") == 8)
        engine.event(event="failed", run=engine.run, why=OUT_OF_MEMORY, kind="failed", steps=20)
        engine.run = None
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.FAILED)
        app.main.show()
        assert "Out of memory" in said(app) and "try a smaller --micro-batch" in said(app)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.focused, OptionList))
        rows = app.focused.option_count if isinstance(app.focused, OptionList) else 0
        assert rows == 5  # three, all of them, the same again
        await pilot.press("enter")
        await until(pilot, lambda: engine.run)
        assert engine.last(wire.Train).config["micro_batch"] == 4


async def test_a_loss_that_is_no_number_offers_a_lower_rate(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ended(app, pilot, engine, "failed", why=NO_GRADIENT, kind="failed")
        assert "not a number any more" in said(app)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.focused, OptionList))
        await pilot.press("enter")
        await until(pilot, lambda: engine.run)
        assert engine.last(wire.Train).config["lr"] == pytest.approx(5e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("why", "kind", "title", "press"),
    [
        ("the result could not be written to /r (No space left on device); free some space", "failed", "disk", "F5"),
        ("/c/a.jsonl, line 3 is not valid JSON (x); correct or delete that line", "bad_input", "corpus", "F7"),
        ("an unexpected error, KeyError: 'x'; the details are in /runs/a/log.txt", "failed", "failed", "F4"),
        ("--seq-len 9000 is longer than the 2048 tokens this model was made for", "bad_input", "as it is asked", "F4"),
    ],
)
async def test_each_failure_says_what_it_means_and_what_to_press(
    app: StudioApp, engine: FakeEngine, size: tuple[int, int], why: str, kind: str, title: str, press: str
) -> None:
    async with app.run_test(size=size) as pilot:
        await ended(app, pilot, engine, "failed", why=why, kind=kind)
        assert title in shown(app, "#card").splitlines()[0]
        assert why[1:40] in said(app) and press in said(app)
        assert not app.main.query_one("#card").has_class("good")


@pytest.mark.parametrize(
    ("why", "title"),
    [
        (OUT_OF_MEMORY, "Out of memory"),
        ("MemoryError: ", "Out of memory"),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", "Out of memory"),
        (f"the engine ended; its log: /e/x.log; {oom.SENTENCE}", "The system ended the engine: out of memory"),
        ("the engine ended; its log: /runs/x.log", "The engine is gone"),
        ("cannot write /r/events.jsonl: No space left on device", "The disk is full"),
        ("cannot write /r/events.jsonl: Disk quota exceeded", "The disk is full"),
        ("/m/model.safetensors is damaged or cut short (x); download it again", "The model cannot be opened"),
        ("/c/a.txt is not valid UTF-8 at byte 3; save it as UTF-8 text first", "The corpus cannot be used"),
        ("/c/a.txt does not exist; check the path of the corpus", "The corpus cannot be used"),
        ("the engine did not start: no torch (log: /x/engine.log)", "The engine could not start"),
        ("the Hub has no model a/b, or it is private (then `hf auth login`)", "The model could not be downloaded"),
        ("something else", "Training failed"),
    ],
)
def test_a_sentence_is_known_by_what_it_says(why: str, title: str) -> None:
    known = trouble(why)
    assert known.title == title
    assert known.meaning.endswith(".") and known.press


def test_before_a_run_nothing_speaks_of_training() -> None:
    unknown = before_training("something else")
    assert "raining" not in unknown.title + unknown.meaning + unknown.press and "F6" in unknown.press
    assert before_training("downloading a/b failed: x; try again").title == "The model could not be downloaded"


def test_remedies_are_only_what_can_still_be_lowered() -> None:
    assert len(remedies({"micro_batch": 8, "seq_len": 512})) == 3
    lean = {"micro_batch": 1, "seq_len": 64, "checkpoint_activations": True}
    assert remedies(lean) == ()
    assert [dict(one.settings) for one in remedies({**lean, "seq_len": 256})] == [{"seq_len": 128}]


def test_what_the_engine_reckons_is_offered_as_it_says() -> None:
    known = [{"micro_batch": 2}, {"base": "nf4", "seq_len": 256}, {"checkpoint_activations": True}]
    offered = trouble(OUT_OF_MEMORY, config={"micro_batch": 8}, known=known).remedies
    assert [dict(remedy.settings) for remedy in offered] == known
    assert offered[0].label == "Smaller micro-batch (2): same result, a little slower"
    assert offered[1].label == "Base in nf4, shorter windows (256 tokens)"
    assert "as low as they go" in trouble(OUT_OF_MEMORY, config={"micro_batch": 8}, known=[]).press


async def test_remedies_come_with_the_failure(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        engine.event(event="changed", at_step=20, micro_batch=4)
        engine.event(event="failed", run=engine.run, why=OUT_OF_MEMORY, kind="failed", remedies=[{"seq_len": 96}])
        engine.run = None
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.FAILED)
        assert app.studio.run and app.studio.run.config["micro_batch"] == 4
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.focused, OptionList))
        await pilot.press("enter")
        await until(pilot, lambda: engine.run)
        assert engine.last(wire.Train).config["seq_len"] == 96


def test_a_kill_by_the_system_is_counted(tmp_path: Path) -> None:
    first, second = tmp_path / "vmstat", tmp_path / "memory.events"
    first.write_text("pgfault 12\noom_kill 2\n")
    second.write_text("low 0\noom 4\noom_kill 3\n")
    assert oom.kills((first, second)) == 3
    assert oom.kills((tmp_path / "none",)) == 0


def test_the_words_follow_the_users_keys() -> None:
    keymap.use({"train": ("ctrl+e",)})
    try:
        assert "^e" in trouble(OUT_OF_MEMORY).press
    finally:
        keymap.use({})
