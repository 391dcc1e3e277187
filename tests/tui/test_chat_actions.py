"""What is done with what was said: again, edit, copy, clear, undo, commands, and walking through it."""

import base64

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Label, Static, TextArea

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.terminal import clipboard
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import asked, ready, shown, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine


def said(app: StudioApp) -> list[tuple[str, str]]:
    return [(message.title, message.text) for message in app.main.chat.transcript.messages]


async def ask(app: StudioApp, pilot: Pilot[None], engine: FakeEngine, question: str, *answers: str) -> None:
    """Ask and be answered, by as many speakers as there are answers."""
    number = sum(isinstance(request, wire.Generate) for request in engine.asked)
    await type_line(pilot, question)
    await answer(app, pilot, engine, number, *answers)


async def answer(app: StudioApp, pilot: Pilot[None], engine: FakeEngine, number: int, *answers: str) -> None:
    for count, text in enumerate(answers, 1):
        request = await asked(pilot, engine, number + count)
        engine.send(wire.GenerationStarted(id=request.id, prompt_tokens=10))
        engine.send(wire.Generated(id=request.id, text=text))
    await until(pilot, lambda: app.main.chat.answering is None and not app.main.chat.waiting)


async def test_again_asks_both_the_same_with_another_seed(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f3", "f3")
        await ask(app, pilot, engine, "who", "a king", "liege")
        await pilot.press("ctrl+r")
        await answer(app, pilot, engine, 2, "a queen", "madam")
        first, _, again, lora = [request for request in engine.asked if isinstance(request, wire.Generate)]
        assert again.messages == first.messages == [{"role": "user", "content": "who"}]
        assert again.sampling.seed != first.sampling.seed
        assert (lora.speaker, lora.run) == ("lora", engine.run)
        assert said(app) == [("you", "who"), ("base", "a queen"), ("LoRA", "madam")]


async def test_an_edited_question_takes_the_place_of_the_old_one(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await ask(app, pilot, engine, "two", "2")
        await pilot.press(*"draft", "ctrl+up")
        assert app.main.chat.prompt.text == "two"
        await pilot.press("escape")
        assert app.main.chat.prompt.text == "draft"
        assert len(said(app)) == 4, "given up: nothing changed"
        await pilot.press("ctrl+up", "s", "enter")
        request = await asked(pilot, engine, 3)
        assert [turn["content"] for turn in request.messages or []] == ["one", "1", "twos"]
        await answer(app, pilot, engine, 2, "II")
        assert [text for _, text in said(app)] == ["one", "1", "twos", "II"]


async def test_what_was_cleared_comes_back(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await type_line(pilot, "two")
        request = await asked(pilot, engine, 2)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: any(isinstance(one, wire.Cancel) for one in engine.asked))
        assert engine.last(wire.Cancel).target == request.id
        assert said(app) == [] and app.main.chat.welcome.display
        await pilot.press("ctrl+l")
        assert [text for _, text in said(app)] == ["one", "1", "two", ""]
        await ask(app, pilot, engine, "three", "3")
        sent = engine.last(wire.Generate)
        assert [turn["content"] for turn in sent.messages] == ["one", "1", "three"]


async def test_copying_says_what_and_where(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+y")
        assert "no answer to copy" in toasts(app)[-1]
        await ask(app, pilot, engine, "who", "a **king**\x1b[2J")
        await pilot.press("ctrl+y")
        assert app.clipboard == "a **king**[2J"
        assert "base said" in toasts(app)[-1] and "clipboard" in toasts(app)[-1]
        await pilot.press("escape", "up", "up", "ctrl+y")
        assert app.clipboard == "who"


def test_the_clipboard_is_reached_through_tmux_too() -> None:
    plain = clipboard.sequence("Grüße", {})
    assert base64.b64decode(plain.removeprefix("\x1b]52;c;").removesuffix("\x07")).decode() == "Grüße"
    inside = clipboard.sequence("Grüße", {"TMUX": "/tmp/tmux"})
    assert inside == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"
    assert "set-clipboard" in clipboard.where("x", {"TMUX": "/tmp/tmux"})
    assert "more than" in clipboard.where("x" * 100_000, {})


async def test_messages_are_walked_with_arrows_and_show_what_can_be_done(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        await ask(app, pilot, engine, "two", "2")
        await pilot.press("escape", "up")
        newest = app.main.chat.transcript.messages[-1]
        assert app.focused is newest
        assert "copy ^y · again ^r" in str(newest.render())
        await pilot.press("up", "up", "up")
        first = app.main.chat.transcript.messages[0]
        assert app.focused is first and "edit" in str(first.render()) and "copy" not in str(newest.render())
        await pilot.press("ctrl+up")
        assert app.main.chat.prompt.text == "one" and app.focused is app.main.chat.prompt
        await pilot.press("escape", "escape", "up", "x")
        assert app.main.chat.prompt.text.endswith("x") and app.focused is app.main.chat.prompt


async def test_the_actions_of_a_message_can_be_clicked(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await ask(app, pilot, engine, "one", "1")
        message = app.main.chat.transcript.messages[-1]
        await pilot.click(message)
        assert app.focused is message
        at = str(message.render()).index("copy")
        await pilot.click(message, offset=(at + 2 + 1, 0))
        await until(pilot, lambda: app.clipboard == "1")


async def test_commands_with_arguments_change_how_it_is_drawn(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        for line in ("/temp 0", "/seed 3", "/length 20", "/top-p 0.5", "/stop-at User:", "/system Be brief"):
            await type_line(pilot, line)
        await until(pilot, lambda: app.main.chat.sampling.system)
        await type_line(pilot, "who")
        request = await asked(pilot, engine)
        assert request.sampling == wire.Sampling(temperature=0, seed=3, max_new_tokens=20, top_p=0.5, stop=("User:",))
        assert (request.messages or [])[0] == {"role": "system", "content": "Be brief"}
        assert "greedy" in shown(app, "#sampling-line") and app.main.chat.sampling_line.display
        await type_line(pilot, "/temp hot")
        await until(pilot, lambda: any("Temperature" in note and "hot" in note for note in toasts(app)))
        assert app.main.chat.prompt.text == "/temp hot"


async def test_matching_commands_are_listed_and_tab_takes_one(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press(*"/cl")
        assert [command.word for command in app.main.chat.prompt.commands.found] == ["clear"]
        await pilot.press("tab")
        assert app.main.chat.prompt.text == "/clear" and not app.main.chat.prompt.commands.display
        app.main.chat.prompt.clear()
        await pilot.press(*"/s", "down", "tab")
        second = app.main.chat.prompt.text.strip()
        assert second.startswith("/s") and second != "/system"


async def test_an_unknown_command_stays_to_be_corrected(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "/dance now")
        await until(pilot, lambda: any("/dance" in note for note in toasts(app)))
        assert app.main.chat.prompt.text == "/dance now"
        app.main.chat.prompt.clear()
        await type_line(pilot, "/usr/bin is what")
        assert (await asked(pilot, engine)).messages == [{"role": "user", "content": "/usr/bin is what"}]


async def test_the_dialog_keeps_what_was_chosen(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen.query("#temperature"))
        await pilot.press(*"Be brief", "tab", *"1.5", "enter")
        await until(pilot, lambda: app.screen is app.main)
        chosen = app.main.chat.sampling
        assert (chosen.system, chosen.temperature) == ("Be brief", 1.5)


@pytest.mark.parametrize("size", ((80, 24), (120, 40)))
async def test_every_field_of_the_dialog_is_seen_whole_and_reaches_the_engine(
    app: StudioApp, engine: FakeEngine, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen.query("#temperature"))
        box = app.screen.query_one(".dialog")

        def said_below() -> str:
            return str(app.screen.query_one("#said", Static).render())

        for widget in app.screen.query("Label, Input, Button, #said"):
            assert box.content_region.contains_region(widget.region), widget
            assert not isinstance(widget, Label) or len(str(widget.render())) <= widget.region.width, widget
        fields = {"top_k": "40", "min_p": "0.05", "repetition": "1.1", "stop": r"User: || \n"}
        for name, text in fields.items():
            app.screen.query_one(f"#{name}", Input).value = text
        app.screen.query_one("#system", TextArea).text = "Answer as a king would, with patience. " * 5
        await until(pilot, lambda: "system: Answer" in said_below())
        assert "top-k 40 · min-p 0.05" in said_below()
        await pilot.click("#keep")
        await until(pilot, lambda: app.screen is app.main)
        assert r"repetition penalty 1.1 · stops at User: || \n" in shown(app, "#sampling-line")
        await type_line(pilot, "who")
        sent = (await asked(pilot, engine)).sampling
        assert (sent.top_k, sent.min_p, sent.repetition_penalty, sent.stop) == (40, 0.05, 1.1, ("User:", "\n"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen.query("#temperature"))
        assert {name: app.screen.query_one(f"#{name}", Input).value for name in fields} == fields, "as it was kept"
        app.screen.query_one("#min_p", Input).value = "5"
        await until(pilot, lambda: "min-p cannot be '5': give a share" in said_below())
        await pilot.click("#defaults")
        await until(pilot, lambda: "the usual settings" in said_below())


async def test_questions_wait_in_the_open_and_esc_stops_all(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "one")
        await type_line(pilot, "two")
        waiting = app.main.chat.transcript.messages[-1]
        assert waiting.note == "waiting…"
        await pilot.press("escape")
        await until(pilot, lambda: app.main.chat.answering is None)
        assert waiting.note == "not asked"
        assert sum(isinstance(request, wire.Generate) for request in engine.asked) == 1


async def test_a_question_whose_engine_was_lost_is_asked_again_with_one_key(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "who")
        await asked(pilot, engine)
        await engine.die()
        await until(pilot, lambda: app.main.chat.answering is None)
        failed = app.main.chat.query(ChatMessage).last()
        assert "✕" in str(failed.render()) and "^r asks again" in str(failed.render())
        async with FakeEngine(engine.socket) as second:
            await app.setup.open_engine()
            await pilot.press("ctrl+r")
            request = await asked(pilot, second)
            assert request.messages == [{"role": "user", "content": "who"}]
            second.send(wire.Generated(id=request.id, text="a king"))
            await until(pilot, lambda: said(app) == [("you", "who"), ("base", "a king")])
            assert not failed.has_class("-failed")
