"""80×24 and 120×40, and from one to the other; the chart's picture."""

import pytest
from textual.app import App, ComposeResult
from textual.events import Resize

from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.config import theme
from loralab_tui.runs.view import RunView
from loralab_tui.widgets.chart import LossChart
from loralab_tui.widgets.footer import KeyHint
from loralab_tui.widgets.progress import ProgressLine
from tests.tui.driving import asked, ready, shown, training, type_line, until
from tests.tui.fake_engine import FakeEngine, falling, step_event


class ChartApp(App[None]):
    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def compose(self) -> ComposeResult:
        yield LossChart()

    def on_mount(self) -> None:
        for each in theme.THEMES:
            self.register_theme(each)
        self.theme = theme.DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.DARK.variables


def view_of(last: int, gap: range = range(0)) -> RunView:
    view = RunView("/runs/a")
    for step in range(1, last + 1):
        view.apply({"seq": step, **step_event(step, last, None if step in gap else falling(step))})
    return view


def braille_columns(chart: LossChart) -> set[int]:
    """Columns of the picture that the smooth line touches."""
    rows = str(chart.render()).splitlines()
    return {column for row in rows for column, sign in enumerate(row) if "\u2801" <= sign <= "\u28ff"}


async def test_a_gap_in_the_loss_is_a_gap_in_the_picture() -> None:
    async with ChartApp(view_of(100, range(40, 60))).run_test(size=(60, 20)) as pilot:
        chart = pilot.app.query_one(LossChart)
        chart.show(pilot.app.view)
        await pilot.pause()
        columns = braille_columns(chart)
        missing = set(range(min(columns), max(columns))) - columns
        assert 8 <= len(missing) <= 14


async def test_the_picture_is_built_only_when_something_changed() -> None:
    async with ChartApp(view_of(50)).run_test(size=(60, 20)) as pilot:
        chart = pilot.app.query_one(LossChart)
        chart.show(pilot.app.view)
        await pilot.pause()
        built = chart.built
        for _ in range(5):
            chart.show(pilot.app.view)
            chart.refresh()
            await pilot.pause()
        assert chart.built == built
        pilot.app.view.apply({"seq": 51, **step_event(51, 51, 2.0)})
        chart.show(pilot.app.view)
        await pilot.pause()
        assert chart.built == built + 1


@pytest.mark.parametrize("gap", [range(0), range(1, 51)], ids=["one step", "no finite loss at all"])
async def test_degenerate_curves_are_drawn(gap: range) -> None:
    async with ChartApp(view_of(50 if gap else 1, gap)).run_test(size=(40, 10)) as pilot:
        pilot.app.query_one(LossChart).show(pilot.app.view)
        await pilot.pause()


async def test_nothing_yet_says_what_to_do() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)):
        assert [key in shown(app, "#welcome") for key in ("F6", "F7", "F2")] == [True] * 3
        assert app.main.chat.speaker.options[1].disabled
        assert "F2 trains one" in str(app.main.chat.speaker.options[1].tooltip)


async def test_what_train_will_do_is_on_screen_before_it_is_pressed(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "trains an adapter of rank 8 on corpus.txt" in shown(app, "#card"))
        assert not any(isinstance(request, wire.Train) for request in engine.asked)


async def test_a_small_terminal_has_tabs_with_a_line_of_the_other_side(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await training(app, pilot, engine, steps=40)
        assert not app.main.training.display
        assert "3.10 · 40% · 1,702 tok/s · 1:00 left" in shown(app, "#training-strip")
        await type_line(pilot, "hello")
        await asked(pilot, engine)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.main.training.display and not app.main.chat.display)
        await until(pilot, lambda: "hello" in shown(app, "#chat-strip") or "base" in shown(app, "#chat-strip"))
        await pilot.press("x")
        assert app.main.chat.display and app.main.chat.prompt.text == "x"


async def test_the_line_of_the_other_side_is_made_only_where_it_is_seen(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=40)
        assert shown(app, "#training-strip") == shown(app, "#chat-strip") == ""
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "3.10 · 40%" in shown(app, "#training-strip"))
        assert shown(app, "#chat-strip") == "nothing said yet"


async def test_the_bar_of_a_run_that_is_shown_once_has_its_width() -> None:
    class BarApp(App[None]):
        def compose(self) -> ComposeResult:
            yield ProgressLine()

        def on_mount(self) -> None:
            self.query_one(ProgressLine).show(view_of(50))  # before it has a size

    async with BarApp().run_test(size=(60, 5)) as pilot:
        await until(pilot, lambda: len(str(pilot.app.query_one(ProgressLine).render())) >= 59)


async def test_keys_of_the_last_line_with_nothing_to_act_on_are_faint(app: StudioApp, engine: FakeEngine) -> None:
    def faint() -> set[str]:
        return {hint.action.id for hint in app.main.footer.query(KeyHint) if hint.has_class("idle")}

    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.studio.corpus and not app.studio.opening)
        await until(pilot, lambda: faint() == {"speaker", "export", "stop"})
        await training(app, pilot, engine)
        await until(pilot, lambda: not faint())


async def test_resizing_keeps_everything_in_place(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=40)
        await pilot.press(*"draft")
        for size in ((80, 24), (60, 15), (200, 60), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.main.chat.display and app.main.training.display
        assert app.main.chat.prompt.text == "draft"
        assert "40/100" in shown(app, "#progress")


async def test_without_colour_the_words_and_shapes_remain(
    engine: FakeEngine, app: StudioApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain = StudioApp(app.options, open_engine=engine.open)
    async with plain.run_test(size=(120, 40)) as pilot:
        await training(plain, pilot, engine)
        assert "● Base" in str(plain.main.chat.speaker.options[0].render())
        assert "━" in shown(plain, "#progress") and "─" in shown(plain, "#progress")
        assert "· loss of a step" in shown(plain, "#legend")


async def test_dark_and_light(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+n")
        assert app.theme == "lab-light"
        await pilot.press("ctrl+n")
        assert app.theme == "lab-dark"


async def test_a_new_size_is_laid_out_with_its_own_classes_and_told_again_not_at_all(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        main, laid_out = app.main, list[tuple[bool, bool]]()
        main.screen_layout_refresh_signal.subscribe(
            app, lambda it: laid_out.append((it.outer_size.width < 100, it.has_class("-narrow"))), immediate=True
        )
        for size in ((80, 24), (120, 40), (99, 50)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: main.outer_size == size)
        assert {narrow for narrow, _ in laid_out} == {True, False}
        assert all(narrow == classed for narrow, classed in laid_out)
        while main._layout_required:
            await pilot.pause()
        laid_out.clear()
        await main._dispatch_message(
            Resize(main.size, main.size)
        )  # at once: what is due from before cannot come between
        assert not laid_out and not main._layout_required, "the same size told again changes nothing"


async def test_the_name_of_the_chat_stands_out_while_one_is_in_it(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        name = app.main.query_one("#chat-name")
        inside = name.styles.color
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.focused is app.main.training)
        assert name.styles.color != inside
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.main.chat.has_focus_within)
        assert name.styles.color == inside
