"""A long conversation stays light: few widgets, bounded memory, and what was left out is said."""

import asyncio

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.widgets.message import ChatMessage
from loralab_tui.widgets.transcript import MOUNTED
from tests.tui.driving import asked, ready, seen, shown, training, type_line, until
from tests.tui.fake_engine import FakeEngine

BREATH_S = 0.001  # of 0 one would wait at full speed


async def test_three_hundred_messages_keep_the_screen_small(app: StudioApp, engine: FakeEngine) -> None:
    engine.context = 512
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        chat = app.main.chat
        counts = []
        for number in range(150):
            chat.say(f"question {number}")
            await _answer(app, engine, number, "**An** answer.\n\n- of some length\n\n" * 3)
            counts.append(len(list(chat.walk_children())))
        await pilot.pause()
        assert len(chat.query(ChatMessage)) == len(chat.transcript.messages) == MOUNTED
        assert max(counts[50:]) <= counts[40] + 3, "the number of widgets does not grow"
        assert f"{300 - MOUNTED} earlier messages are in chat.jsonl" in shown(app, "#earlier")
        sent = sum(len(turn["content"]) for turn in engine.last(wire.Generate).messages)
        assert sent < 4 * 512, "what does not fit the context is not sent"
        assert "context full, without the" in str(chat.query(ChatMessage).last().render())


async def _answer(app: StudioApp, engine: FakeEngine, number: int, text: str) -> None:
    """Answer question `number`; much shorter than waiting for the screen each time."""
    async with asyncio.timeout(10):
        while len(questions := [one for one in engine.asked if isinstance(one, wire.Generate)]) <= number:
            await asyncio.sleep(BREATH_S)
        sent = sum(len(turn["content"]) for turn in questions[-1].messages or [])
        engine.send(wire.GenerationStarted(id=questions[-1].id, prompt_tokens=10 + sent // 4))
        engine.send(wire.Generated(id=questions[-1].id, text=text))
        while app.main.chat.answering is not None:
            await asyncio.sleep(BREATH_S)


async def test_two_answers_stand_beside_each_other_where_there_is_room(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(230, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        await type_line(pilot, "who")
        _, base, lora = app.main.chat.transcript.messages
        await until(pilot, lambda: base.region.width and base.region.y == lora.region.y)
        assert base.region.right < lora.region.x
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: base.region.bottom < lora.region.y and base.region.x == lora.region.x)


async def test_markup_and_escapes_of_a_model_are_only_shown(app: StudioApp, engine: FakeEngine) -> None:
    bad = "[bold red]x[/] [@click=app.quit]y[/]\x1b[2J\x1b]52;c;aGk=\x07 \u202eevil " + "z" * 10_000
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hi")
        request = await asked(pilot, engine)
        for begin in range(0, len(bad), 999):
            engine.send(wire.Piece(id=request.id, text=bad[begin : begin + 999]))
        engine.send(wire.Generated(id=request.id, text=bad))
        await until(pilot, lambda: app.main.chat.answering is None)
        message = app.main.chat.transcript.messages[-1]
        assert message.text.startswith("[bold red]x[/] [@click=app.quit]y[/][2J]52;c;aGk= evil zzz")
        assert max(line.cell_length for line in message.render().split("\n")) <= message.content_size.width
        assert not {"\x1b", "\x07", "\u202e"} & set(str(message.render()))


async def test_a_taught_model_without_a_template_chats(app: StudioApp, engine: FakeEngine) -> None:
    engine.chat_template = "plain"
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.main.chat.mode.value == "continue" and app.studio.status)
        assert "no chat template" in str(app.main.chat.mode.options[0].tooltip)
        assert app.studio.corpus is not None
        app.studio.corpus.is_chat = True
        app.main.show()
        assert app.main.chat.mode.value == "chat"
        await pilot.press("f12")
        app.main.show()
        assert app.main.chat.mode.value == "continue", "what someone chose stays"


async def test_a_window_may_shrink_to_nothing_while_an_answer_comes(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hello")
        request = await asked(pilot, engine)
        engine.send(wire.GenerationStarted(id=request.id, prompt_tokens=10))
        engine.send(wire.Piece(id=request.id, text="| a | 好好 |\n|---|---|\n| **x** | `y` |\n\nsome words"))
        for size in ((60, 20), (5, 3), (1, 1), (120, 40)):
            await pilot.resize_terminal(*size)
        engine.send(wire.Generated(id=request.id, text="the end"))
        await until(pilot, lambda: "the end" in seen(app))
