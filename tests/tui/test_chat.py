"""Who is asked what, how answers stream, and how they end."""

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import asked, ready, shown, training, type_line, until
from tests.tui.fake_engine import FakeEngine


def said(app: StudioApp) -> list[tuple[str, str]]:
    return [(message.title, message.text) for message in app.main.chat.query(ChatMessage)]


async def test_both_are_asked_one_after_another_each_with_its_own_history(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        assert app.main.chat.speaker.value == "both"
        await type_line(pilot, "who")
        base = await asked(pilot, engine, 1)
        assert (base.speaker, base.run) == ("base", app.studio.run.directory), "what the base said is kept with the run"
        engine.send(wire.Generated(id=base.id, text="a king"))
        lora = await asked(pilot, engine, 2)
        assert (lora.speaker, lora.run) == ("lora", engine.run)
        assert lora.messages == [{"role": "user", "content": "who"}]
        engine.send(wire.GenerationStarted(id=lora.id, step=20))
        engine.send(wire.Generated(id=lora.id, text="thy liege", step=20, tokens_per_s=98.0))
        await until(pilot, lambda: ("LoRA @20", "thy liege") in said(app))
        await type_line(pilot, "why")
        again = await asked(pilot, engine, 3)
        assert [turn["content"] for turn in again.messages or []] == ["who", "a king", "why"]


async def test_a_model_without_a_template_continues_texts(app: StudioApp, engine: FakeEngine) -> None:
    engine.chat_template = "plain"
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.main.chat.mode.value == "continue" and app.studio.status)
        await type_line(pilot, "Once upon")
        request = await asked(pilot, engine)
        assert (request.prompt, request.messages) == ("Once upon", None)


async def test_pieces_are_shown_as_they_come_and_the_end_mends_what_was_lost(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hi")
        request = await asked(pilot, engine)
        engine.send(wire.GenerationStarted(id=request.id))
        engine.send(wire.Piece(id=request.id, text="one "))
        await until(pilot, lambda: said(app)[-1] == ("base", "one "))
        engine.send(wire.Generated(id=request.id, text="one two three", new_tokens=3, finish="length"))
        await until(pilot, lambda: said(app)[-1] == ("base", "one two three"))
        assert "cut at 3 tokens, Alt+m goes on" in str(app.main.chat.query(ChatMessage).last().render())


async def test_a_frozen_answer_leaves_the_screen_alive_and_esc_stops_it(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hi")
        request = await asked(pilot, engine)
        await pilot.press(*"still typing", "f3")
        assert app.main.chat.prompt.text == "still typing"
        await pilot.press("escape")
        await until(pilot, lambda: any(isinstance(one, wire.Cancel) for one in engine.asked))
        assert engine.last(wire.Cancel).target == request.id
        await until(pilot, lambda: app.main.chat.answering is None)
        assert said(app)[-1] == ("base", "cut")


async def test_an_answer_that_fails_says_why_and_the_next_one_works(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hi")
        request = await asked(pilot, engine)
        engine.send(wire.Failed(id=request.id, sentence="the context is full; ^l begins afresh"))
        await until(pilot, lambda: app.main.chat.answering is None)
        assert "the context is full" in str(app.main.chat.query(ChatMessage).last().render())
        await type_line(pilot, "again")
        assert [turn["content"] for turn in (await asked(pilot, engine, 2)).messages or []] == ["again"]


async def test_asking_without_a_model_says_what_to_press(engine: FakeEngine) -> None:
    app = StudioApp(open_engine=engine.open)
    async with app.run_test(size=(80, 24)) as pilot:
        await type_line(pilot, "hi")
        await until(pilot, lambda: "F6" in str(app.main.chat.query(ChatMessage).last().render()))


async def test_clearing_forgets_the_conversation(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hi")
        engine.send(wire.Generated(id=(await asked(pilot, engine)).id, text="hello"))
        await until(pilot, lambda: app.main.chat.answering is None)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not app.main.chat.query(ChatMessage))
        await type_line(pilot, "anew")
        assert [turn["content"] for turn in (await asked(pilot, engine, 2)).messages or []] == ["anew"]


async def test_earlier_words_come_back_with_the_arrow(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        app.main.chat.prompt.remember("first")
        app.main.chat.prompt.remember("second")
        await pilot.press("up", "up")
        assert app.main.chat.prompt.text == "first"
        await pilot.press("down", "down")
        assert app.main.chat.prompt.text == ""


async def test_the_lora_is_named_with_its_step(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=7)
        assert "LoRA @7" in str(app.main.chat.speaker.options[1].render())
        assert not app.main.chat.speaker.options[1].disabled
        assert "#" not in shown(app, "#welcome")
