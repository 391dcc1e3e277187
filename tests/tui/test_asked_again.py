"""What was said stays where asking for it again brings nothing."""

from textual.pilot import Pilot

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.chat.conversation import Reply
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import asked, ready, training, type_line, until
from tests.tui.fake_engine import FakeEngine


async def answered(app: StudioApp, pilot: Pilot[None], engine: FakeEngine, *answers: str) -> list[ChatMessage]:
    """One question with as many speakers as there are answers; the answers on the screen."""
    await type_line(pilot, "who")
    for number, text in enumerate(answers, 1):
        request = await asked(pilot, engine, number)
        engine.send(wire.GenerationStarted(id=request.id, prompt_tokens=10, step=20))
        engine.send(wire.Generated(id=request.id, text=text))
    await until(pilot, lambda: idle(app))
    return [message for message in app.main.chat.transcript.messages if message.reply]


def idle(app: StudioApp) -> bool:
    return app.main.chat.answering is None and not app.main.chat.waiting


def kept(app: StudioApp) -> list[tuple[str, int | None, bool]]:
    replies: list[Reply] = app.main.chat.conversation.rounds[0].replies
    return [(reply.text, reply.step, reply.failed) for reply in replies]


async def test_both_answers_stay_where_no_engine_is_there(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        messages = await answered(app, pilot, engine, "a king", "liege")
        await engine.die()
        await until(pilot, lambda: not app.link.connected)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: idle(app) and "✕" in messages[0].note)
        assert [message.text for message in messages] == ["a king", "liege"]
        assert kept(app) == [("a king", 20, False), ("liege", 20, False)]
        assert "^r asks again" in str(messages[0].render()), "the whole sentence stands above what was said"
        async with FakeEngine(engine.socket) as second:
            await app.setup.open_engine()
            await type_line(pilot, "why")
            request = await asked(pilot, second)
            assert [turn["content"] for turn in request.messages or []] == ["who", "a king", "why"]


async def test_an_answer_stays_with_its_step_where_the_new_one_is_stopped_at_once(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        (message,) = await answered(app, pilot, engine, "a king")
        engine.frozen = True  # the fake one would say something before it is cancelled
        await pilot.press("ctrl+r")
        request = await asked(pilot, engine, 2)
        engine.send(wire.GenerationStarted(id=request.id, prompt_tokens=10, step=90))
        await until(pilot, lambda: message.step == 90)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(engine.asked[-1], wire.Cancel))
        engine.send(wire.Generated(id=request.id, text="", finish="cancelled"))
        await until(pilot, lambda: idle(app))
        assert (message.text, message.step, message.note) == ("a king", 20, "nothing new came · stopped")
        assert kept(app) == [("a king", 20, False)]


async def test_the_beginning_of_a_new_answer_takes_the_place_of_the_old_one(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        (message,) = await answered(app, pilot, engine, "a king")
        await pilot.press("ctrl+r")
        request = await asked(pilot, engine, 2)
        engine.send(wire.GenerationStarted(id=request.id, prompt_tokens=10))
        engine.send(wire.Piece(id=request.id, text="a qu"))
        await until(pilot, lambda: message.text == "a qu")
        await engine.die()
        await until(pilot, lambda: idle(app))
        assert kept(app) == [("a qu", None, True)] and message.has_class("-failed")
