"""What was cleared or edited away comes back in its place, whatever was asked since; nothing is lost on the way."""

from textual.pilot import Pilot

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import asked, ready, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine


def on_screen(app: StudioApp) -> list[str]:
    """From the top to the bottom, in the order of the widgets themselves."""
    return [message.text for message in app.main.chat.transcript.query(ChatMessage)]


async def ask(app: StudioApp, pilot: Pilot[None], engine: FakeEngine, question: str, *answers: str) -> None:
    number = sum(isinstance(request, wire.Generate) for request in engine.asked)
    await type_line(pilot, question)
    for count, text in enumerate(answers, 1):
        engine.send(wire.Generated(id=(await asked(pilot, engine, number + count)).id, text=text))
    await until(pilot, lambda: app.main.chat.answering is None and not app.main.chat.waiting)


def sent(engine: FakeEngine) -> list[str]:
    return [turn["content"] for turn in engine.last(wire.Generate).messages]


async def test_undo_after_a_new_question_puts_what_was_cleared_above_it(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await ask(app, pilot, engine, "two", "2")
        await pilot.press("ctrl+l")
        await ask(app, pilot, engine, "three", "3")
        assert sent(engine) == ["three"], "what is not on the screen is not sent"
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["one", "1", "two", "2", "three", "3"])
        assert "2 questions are back, above" in toasts(app)[-1]
        await ask(app, pilot, engine, "four", "4")
        assert sent(engine) == ["one", "1", "two", "2", "three", "3", "four"]
        await pilot.press("ctrl+underscore")
        assert "Nothing was cleared" in toasts(app)[-1] and on_screen(app)[-1] == "4"


async def test_undo_again_goes_further_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        for question, answer in (("one", "1"), ("two", "2")):
            await ask(app, pilot, engine, question, answer)
            await pilot.press("ctrl+l")
        await ask(app, pilot, engine, "three", "3")
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["two", "2", "three", "3"])
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["one", "1", "two", "2", "three", "3"])


async def test_clearing_twice_brings_back_the_same_each_time(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await pilot.press("ctrl+l")
        await ask(app, pilot, engine, "two", "2")
        for _ in range(2):
            await pilot.press("ctrl+l")
            await until(pilot, lambda: not app.main.chat.query(ChatMessage))
            await pilot.press("ctrl+l")
            await until(pilot, lambda: on_screen(app) == ["two", "2"])
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["one", "1", "two", "2"])


async def test_what_was_edited_away_stands_above_the_edited_question(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await ask(app, pilot, engine, "two", "2")
        await pilot.press("ctrl+up", "s")
        await ask(app, pilot, engine, "", "II")
        assert sent(engine) == ["one", "1", "twos"]
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["one", "1", "two", "2", "twos", "II"])
        await ask(app, pilot, engine, "three", "3")
        assert sent(engine) == ["one", "1", "two", "2", "twos", "II", "three"]


async def test_an_answer_under_way_goes_on_below_what_comes_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await pilot.press("ctrl+l")
        await type_line(pilot, "two")
        request = await asked(pilot, engine, 2)
        await type_line(pilot, "three")
        engine.send(wire.Piece(id=request.id, text="half "))
        await until(pilot, lambda: on_screen(app) == ["two", "half ", "three", ""])
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: on_screen(app) == ["one", "1", "two", "half ", "three", ""])
        assert not any(isinstance(one, wire.Cancel) for one in engine.asked)
        engine.send(wire.Generated(id=request.id, text="half and half"))
        engine.send(wire.Generated(id=(await asked(pilot, engine, 3)).id, text="3"))
        await until(pilot, lambda: on_screen(app)[2:] == ["two", "half and half", "three", "3"])
        assert sent(engine) == ["one", "1", "two", "half and half", "three"]


async def test_each_speaker_remembers_what_stands_on_the_screen(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        await ask(app, pilot, engine, "who", "a king", "liege")
        await pilot.press("ctrl+l")
        await ask(app, pilot, engine, "why", "so", "verily")
        await pilot.press("ctrl+underscore")
        await ask(app, pilot, engine, "when", "now", "anon")
        base, lora = [one for one in engine.asked if isinstance(one, wire.Generate)][-2:]
        assert [turn["content"] for turn in base.messages or []] == ["who", "a king", "why", "so", "when"]
        assert [turn["content"] for turn in lora.messages or []] == ["who", "liege", "why", "verily", "when"]


async def test_what_was_cleared_unanswered_says_so_when_it_is_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "one")
        request = await asked(pilot, engine)
        await type_line(pilot, "two")
        engine.send(wire.Piece(id=request.id, text="half"))
        await until(pilot, lambda: on_screen(app)[1] == "half")
        await pilot.press("ctrl+l", "ctrl+l")
        assert on_screen(app) == ["one", "half", "two", ""]
        assert [one.note for one in app.main.chat.transcript.messages] == ["", "stopped", "", "not asked"]


async def test_an_old_answer_is_not_lost_to_a_new_one_that_never_came(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await pilot.press("ctrl+r")
        await asked(pilot, engine, 2)
        await pilot.press("ctrl+l", "ctrl+l")
        assert on_screen(app) == ["one", "1"]
