"""An answer that was cut goes on in its place, from what the model read of it."""

from pathlib import Path

from textual.pilot import Pilot

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.chat.history import read_chat, rounds_of
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import asked, ready, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine


def idle(app: StudioApp) -> bool:
    return app.main.chat.answering is None and not app.main.chat.waiting


async def answer(
    app: StudioApp,
    pilot: Pilot[None],
    engine: FakeEngine,
    number: int,
    text: str,
    finish: str = "length",
    **began: object,
) -> wire.Generate:
    """The `number`-th question of all is answered; `began`: how GenerationStarted says it."""
    request = await asked(pilot, engine, number)
    engine.send(wire.GenerationStarted(id=request.id, **began))  # type: ignore[arg-type]
    engine.send(wire.Generated(id=request.id, text=text, new_tokens=9, finish=finish))  # type: ignore[arg-type]
    await until(pilot, lambda: idle(app) or any(message.note == "thinking…" for message in answers(app)))
    return request


def answers(app: StudioApp) -> list[ChatMessage]:
    return [message for message in app.main.chat.transcript.messages if message.reply]


async def test_the_line_says_what_to_press_and_the_answer_goes_on_in_its_place(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3")
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king of ", step=20)
        (message,) = answers(app)
        assert "cut at 9 tokens, Alt+m goes on" in str(message.render())
        await pilot.press("alt+m")
        request = await asked(pilot, engine, 2)
        assert request.continue_final_message and request.speaker == "lora"
        turns = [(turn["role"], turn["content"]) for turn in request.messages or []]
        assert turns == [("user", "who"), ("assistant", "a king of ")]
        engine.send(wire.GenerationStarted(id=request.id, step=40, begun="a king of"))
        await until(pilot, lambda: message.text == "a king of", "the template had trimmed it")
        engine.send(wire.Piece(id=request.id, text=" France"))
        await until(pilot, lambda: message.text == "a king of France")
        engine.send(wire.Generated(id=request.id, text=" France", finish="eos"))
        await until(pilot, lambda: idle(app))
        assert (message.text, message.title) == ("a king of France", "LoRA @40")
        assert "begun @20" in str(message.render()) and "goes on" not in str(message.render())
        await type_line(pilot, "why")
        sent = (await asked(pilot, engine, 3)).messages or []
        assert [turn["content"] for turn in sent] == ["who", "a king of France", "why"]


async def test_both_go_on_and_only_where_they_were_cut(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king")
        await answer(app, pilot, engine, 2, "liege", step=20)
        await type_line(pilot, "/more")
        await answer(app, pilot, engine, 3, " again", "eos")
        await answer(app, pilot, engine, 4, " lord", step=20)
        await until(pilot, lambda: idle(app))
        assert [message.text for message in answers(app)] == ["a king again", "liege lord"]
        await pilot.press("alt+m")
        await answer(app, pilot, engine, 5, "!", "eos", step=20)
        assert [message.text for message in answers(app)] == ["a king again", "liege lord!"]
        await pilot.press("alt+m")
        await until(pilot, lambda: "No answer was cut here; ^r asks" in toasts(app)[-1])


async def test_a_text_goes_on_behind_what_was_said(app: StudioApp, engine: FakeEngine) -> None:
    engine.chat_template = "plain"
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.main.chat.mode.value == "continue" and app.studio.status)
        await type_line(pilot, "Once")
        await answer(app, pilot, engine, 1, " upon \N{REPLACEMENT CHARACTER}")
        await pilot.press("alt+m")
        request = await answer(app, pilot, engine, 2, "ä time")
        assert (request.prompt, request.messages, request.continue_final_message) == ("Once upon ", None, False)
        assert answers(app)[0].text == " upon ä time", "half a character is read anew"


async def test_a_stopped_answer_goes_on_and_undo_takes_that_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await asked(pilot, engine)
        await pilot.press("escape")  # the fake engine has said "cut" by then
        await until(pilot, lambda: idle(app))
        (message,) = answers(app)
        assert (message.text, message.note) == ("cut", "stopped")
        for number, more in ((2, " off"), (3, " and on")):
            await pilot.press("alt+m")
            await answer(app, pilot, engine, number, more, "eos" if number == 3 else "length")
        assert message.text == "cut off and on"
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: message.text == "cut off" and "Alt+m" in toasts(app)[-1])
        await pilot.press("ctrl+underscore")
        await until(pilot, lambda: (message.text, message.note) == ("cut", "stopped"))
        await pilot.press("ctrl+underscore")
        assert "Nothing was cleared" in toasts(app)[-1] and len(answers(app)) == 1


async def test_undo_leaves_an_answer_alone_that_was_asked_for_again(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king")
        await pilot.press("alt+m")
        await answer(app, pilot, engine, 2, " of old")
        await pilot.press("ctrl+r")
        await answer(app, pilot, engine, 3, "nobody")
        await pilot.press("ctrl+underscore")
        assert answers(app)[0].text == "nobody" and "Nothing was cleared" in toasts(app)[-1]


async def test_what_was_said_stays_where_going_on_fails(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king")
        (message,) = answers(app)
        await pilot.press("alt+m")
        request = await asked(pilot, engine, 2)
        engine.send(wire.GenerationStarted(id=request.id, begun="a king"))
        engine.send(wire.Piece(id=request.id, text=" of"))
        await until(pilot, lambda: message.text == "a king of")
        await engine.die()
        await until(pilot, lambda: idle(app))
        assert message.text == "a king of" and not message.has_class("-failed")
        assert "✕" in message.note and "Alt+m goes on" in str(message.render())
        async with FakeEngine(engine.socket) as second:
            await app.setup.open_engine()
            await pilot.press("alt+m")
            sent = (await asked(pilot, second)).messages or []
            assert [turn["content"] for turn in sent] == ["who", "a king of"]


async def test_an_answer_that_ends_at_once_is_as_it_was_and_whole(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king")
        await pilot.press("alt+m")
        await answer(app, pilot, engine, 2, "", "eos")
        (message,) = answers(app)
        assert (message.text, message.note) == ("a king", "nothing new came")
        await pilot.press("alt+m")
        await until(pilot, lambda: "No answer was cut" in toasts(app)[-1])


async def test_a_cut_answer_can_be_clicked_to_go_on(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await answer(app, pilot, engine, 1, "a king")
        (message,) = answers(app)
        await pilot.click(message)
        at = str(message.render()).index("more")
        await pilot.click(message, offset=(at + 2 + 1, 0))
        assert (await asked(pilot, engine, 2)).continue_final_message


def test_a_kept_answer_that_went_on_comes_back_whole(tmp_path: Path) -> None:
    lines = [
        '{"speaker": "lora", "messages": [{"role": "user", "content": "who"}], "text": "a king ", "step": 20, '
        '"finish": "length"}',
        '{"speaker": "base", "messages": [{"role": "user", "content": "why"}], "text": "so"}',
        '{"speaker": "lora", "messages": [{"role": "user", "content": "who"}], "begun": "a king", '
        '"text": "a king of France", "step": 40, "finish": "cancelled"}',
        '{"speaker": "base", "prompt": "Once", "text": " upon", "finish": "length"}',
        '{"speaker": "base", "prompt": "Once upon", "text": " a time", "finish": "eos"}',
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(lines))
    rounds = rounds_of(read_chat(tmp_path))
    assert [(said.question, [reply.text for reply in said.replies]) for said in rounds] == [
        ("who", ["a king of France"]),
        ("why", ["so"]),
        ("Once", [" upon a time"]),
    ]
    (reply,) = rounds[0].replies
    assert (reply.step, reply.note, reply.cut) == (40, "begun @20", True) and not rounds[2].replies[0].cut
