"""F5: the runs of this machine, read beside the screen; what one can do with them, and what is not done by mistake."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.events import EventLog
from loralab_core.runs.naming import rename_run
from loralab_core.runs.owner import claim
from loralab_core.runs.summaries import Summaries
from loralab_core.runs.summary import Summary
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.config import keymap
from loralab_tui.runs.view import Phase
from loralab_tui.screens.ask_line import AskLine
from loralab_tui.screens.compare_runs import CompareRuns
from loralab_tui.screens.confirm import Confirm
from loralab_tui.screens.main import MainScreen
from loralab_tui.screens.runs import RunsScreen
from loralab_tui.widgets.run_table import fitting
from tests.runs.writing import write
from tests.tui.driving import strike, toasts, training, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run, made_steps

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?/.,;:-_#+*"


async def opened(app: StudioApp, pilot: Pilot[None], count: int) -> RunsScreen:
    """The screen of runs, with all of them read."""
    await pilot.press("f5")
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.table.row_count == count, "the list")
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    if count:
        await until(pilot, lambda: screen.table.current in screen.readings, "the curve")
    return screen


def cells(screen: RunsScreen, path: Path) -> str:
    return " ".join(str(cell) for cell in screen.table.get_row(str(path)))


@pytest.fixture
def app(engine: FakeEngine) -> StudioApp:
    return StudioApp(Options(host="box"), open_engine=engine.open)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_line_says_how_a_run_stands_and_the_details_the_rest(app: StudioApp, size: tuple[int, int]) -> None:
    made_run(620, name="king-lear", rank=16)
    stopped = made_run(30, "stopped", total=620)
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, 2)
        line = cells(screen, stopped.path)
        assert all(word in line for word in ("■ stopped", "30/620", "3.25")) and "█" in line
        await pilot.press("down")
        await until(pilot, lambda: "rank 16" in str(screen.details.render()))
        details = str(screen.details.render())
        assert all(word in details for word in ("king-lear", "finished", "620/620", "1:05", "tiny", "plays.txt"))
        assert screen.chart.view is not None and len(screen.chart.view.curve) == 620
        assert "2 · " in str(screen.head.render())


async def test_no_runs_yet_says_what_to_do(app: StudioApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 0)
        await until(pilot, lambda: "There are no runs yet" in str(screen.said.render()))
        for key in ("enter", "f2", "f3", "f4", "f6", "f9", "delete", "space"):
            await pilot.press(key)
        assert app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_letters_only_ever_filter(app: StudioApp) -> None:
    runs = [made_run(12, name=name) for name in ("hamlet", "lear", "othello")]
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 3)
        for letter in LETTERS:
            screen.set_focus(screen.table)
            strike(app, letter)
            await until(pilot, lambda letter=letter: screen.filter.value.endswith(letter))
        assert screen.filter.value == LETTERS and app.screen is screen and len(list_runs()) == 3
        await until(pilot, lambda: "No run fits" in str(screen.said.render()))
        await pilot.press("escape")
        await until(pilot, lambda: screen.table.row_count == 3)
        await pilot.press(*"lear")
        await until(pilot, lambda: screen.table.row_count == 1)
        assert screen.table.current == str(runs[1].path)
        await pilot.press("backspace", "backspace", "backspace", "down", "down")
        await until(pilot, lambda: screen.table.row_count == 3)
        assert screen.focused is screen.filter


async def test_a_growing_run_is_followed_and_read_on_not_again(app: StudioApp) -> None:
    made_run(50, name="old")
    run = made_run(20, None, total=100)
    claim(run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, 2)
        assert "▶ running" in cells(screen, run.path)
        before = screen.summaries.events_read
        write(run, *made_steps(21, 30))
        screen.look_again()
        await until(pilot, lambda: "30/100" in cells(screen, run.path))
        await until(pilot, lambda: screen.chart.view is not None and len(screen.chart.view.curve) == 30)
        assert screen.summaries.events_read == before + 10
        assert screen.readings[str(run.path)].history.steps[-1] == 30


class Spying(Summaries):
    """Notes which threads read."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def read(self) -> Iterator[Summary]:
        self.threads.add(threading.get_ident())
        yield from super().read()


async def test_two_hundred_runs_and_a_long_one_are_read_beside_the_screen(app: StudioApp) -> None:
    """Never on the event loop; the cursor can move while it lasts, and looking again reads no event."""
    for number in range(199):
        made_run(3, name=f"run-{number}")
    _long_run(100_000)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        screen.summaries = spying = Spying()
        await until(pilot, lambda: screen.table.row_count == 200 and screen.table.current in screen.readings)
        screen.look_again()
        await until(pilot, lambda: spying.threads and len(screen.found) == 200 and spying.events_read > 100_000)
        await until(pilot, lambda: not screen._is_reading("list"))
        read = spying.events_read
        screen.look_again()
        await until(pilot, lambda: not screen._is_reading("list"))
        assert threading.get_ident() not in spying.threads and spying.events_read == read
        assert screen.chart.view is not None and screen.chart.view.step == 100_000
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.studio.run and app.studio.run.name == "run-0")


def _long_run(steps: int) -> RunDirectory:
    """One write instead of a hundred thousand."""
    import msgspec

    run = made_run(1, None, total=steps)
    events = ({"seq": 2 + n, "time": 1e9 + n, **event} for n, event in enumerate(made_steps(1, steps, steps), 1))
    with open(run.events_path, "ab") as file:
        file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    log = EventLog(run.events_path)
    log.append({"event": "done", "seconds": 1e5})
    log.close()
    return run


async def test_resuming_from_the_list(app: StudioApp, engine: FakeEngine) -> None:
    run = made_run(30, "stopped", total=60)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, 1)
        await pilot.press("f2")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        request = engine.last(wire.Resume)
        assert (request.run, request.steps) == (str(run.path), None)
        assert app.studio.run is not None and len(app.studio.run.curve) == 30


async def test_a_finished_run_is_extended_not_resumed(app: StudioApp, engine: FakeEngine) -> None:
    run = made_run(30)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, 1)
        await pilot.press("f2")
        await until(pilot, lambda: any("F4 trains it for more" in note for note in toasts(app)))
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        for wrong, why in (("30", "larger number"), ("many", "whole number")):
            app.screen.query_one(Input).value = wrong
            await pilot.press("enter")
            await until(pilot, lambda why=why: why in str(app.screen.query_one("#said").render()))
        app.screen.query_one(Input).value = "90"
        await until(pilot, lambda: "60 more steps" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        assert (engine.last(wire.Resume).run, engine.last(wire.Resume).steps) == (str(run.path), 90)


async def test_renaming_shows_everywhere(app: StudioApp) -> None:
    run = made_run(12, name="first")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, 1)
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        app.screen.query_one(Input).value = "x" * 100
        await until(pilot, lambda: "80 characters" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        assert isinstance(app.screen, AskLine)
        app.screen.query_one(Input).value = "the good one"
        await pilot.press("enter")
        await until(pilot, lambda: "the good one" in cells(screen, run.path))
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.run and app.studio.run.name == "the good one")
        assert run.record().config["name"] == "first"


async def test_deleting_asks_names_the_size_and_enter_keeps(app: StudioApp) -> None:
    run = made_run(12)
    (run.checkpoints / "weights").write_bytes(b"0" * 3_000_000)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 1)
        for key in ("delete", "f9"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            assert "3.0 MB" in app.screen.text and "cannot be undone" in app.screen.text  # type: ignore[attr-defined]
            await until(pilot, lambda: isinstance(app.focused, Button) and app.focused.id == "keep")
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is screen)
            assert run.path.exists()
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.focused, Button))
        await pilot.press("right", "enter")
        await until(pilot, lambda: not run.path.exists() and screen.table.row_count == 0)


async def test_a_run_in_training_is_not_deleted(app: StudioApp) -> None:
    run = made_run(12, None, total=60)
    claim(run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 1)
        await pilot.press("delete")
        await until(pilot, lambda: any("F9 stops it" in note for note in toasts(app)))
        assert app.screen is screen and run.path.exists()


async def test_a_run_taken_up_while_the_question_stood_is_not_deleted(app: StudioApp) -> None:
    run = made_run(12, "stopped", total=60)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, 1)
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.focused, Button))
        claim(run)
        await pilot.press("right", "enter")
        await until(pilot, lambda: any("is being trained by process" in note for note in toasts(app)))
        assert run.path.exists()


async def test_the_run_on_the_main_screen_can_be_deleted(app: StudioApp) -> None:
    run = made_run(12)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)
        await opened(app, pilot, 1)
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.focused, Button))
        await pilot.press("right", "enter")
        await until(pilot, lambda: app.studio.run is None and not run.path.exists())


async def test_marked_runs_are_laid_over_each_other(app: StudioApp) -> None:
    first, second = made_run(40, name="lear", rank=16), made_run(80, name="hamlet", corpus=("/data/other.txt",))
    made_run(12, name="third")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, 3)
        await pilot.press("down", "space", "down", "space", "f3")
        await until(pilot, lambda: isinstance(app.screen, CompareRuns) and app.screen.readings)
        both = app.screen
        assert isinstance(both, CompareRuns)
        assert [len(view.curve) for view in both.chart.views] == [80, 40]
        legend, rows = str(both.legend.render()), str(both.rows.render())
        assert "A ━ hamlet" in legend and "B ━ lear" in legend and "over steps" in legend
        assert all(word in rows for word in ("best validation", "perplexity", "tokens/s", "rank", "16", "other.txt"))
        assert "corpora differ" in str(both.warning.render())
        await pilot.press("f4")
        await until(pilot, lambda: "over tokens" in str(both.legend.render()))
        await pilot.press("f5")
        await until(pilot, lambda: "A ━ lear" in str(both.legend.render()))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert screen.table.marked == [str(second.path), str(first.path)]


async def test_one_run_alone_is_not_compared(app: StudioApp) -> None:
    made_run(12)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 1)
        await pilot.press("f3")
        await until(pilot, lambda: any("mark them with Space" in note for note in toasts(app)))
        assert app.screen is screen


async def test_the_run_on_the_main_screen_is_compared_with_the_one_of_the_list(
    app: StudioApp, engine: FakeEngine, model: Path, corpus: Path
) -> None:
    made_run(12, name="old")
    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        screen = await opened(app, pilot, 2)
        await pilot.press("down")
        await until(pilot, lambda: screen.current and screen.current.name == "old")
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(app.screen, CompareRuns) and app.screen.readings)
        assert isinstance(app.screen, CompareRuns) and app.screen.paths[1] == engine.run


async def test_every_action_can_be_clicked(app: StudioApp) -> None:
    made_run(12)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 1)
        for action in keymap.RUNS:
            assert action.tooltip and hasattr(RunsScreen, f"action_{action.id}")
            target = f"#key-{action.id}" if action.footer else f"#runs-{action.id}"
            region = screen.query_one(target).region
            assert region.width and region.right <= 80, action.id
        await pilot.click("#key-rename")
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        await pilot.press("escape")
        await pilot.click("#key-back")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_the_actions_are_in_the_palette_while_one_is_here(app: StudioApp) -> None:
    made_run(12)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, 1)
        commands = {command.title: command for command in app.get_system_commands(screen)}
        for action in keymap.RUNS:
            assert any(title.startswith(f"{action.label} (") for title in commands), action.id
        next(command for title, command in commands.items() if title.startswith("Rename (")).callback()
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        await pilot.press("escape")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert not any(command.title.startswith("Rename (") for command in app.get_system_commands(app.main))


async def test_resizing_and_another_theme_keep_the_cursor_on_its_run(app: StudioApp) -> None:
    runs = [made_run(12, name=f"run-{number}") for number in range(3)]
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, 3)
        await pilot.press("down")
        for size in ((80, 24), (60, 15), (160, 50)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: screen.table.columns and screen.table.row_count == 3)
            await pilot.press("ctrl+n")
            await until(pilot, lambda: screen.table.current == str(runs[1].path))


async def test_a_run_renamed_elsewhere_keeps_its_place(app: StudioApp) -> None:
    run = made_run(12, name="before")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, 1)
        rename_run(run, "after")
        screen.look_again()
        await until(pilot, lambda: "after" in cells(screen, run.path))


@pytest.mark.parametrize("width", [40, 60, 78, 90, 118, 160])
def test_the_columns_fit_and_the_important_ones_stay(width: int) -> None:
    columns = fitting(width)
    assert {"state", "run", "step", "loss"} <= {column.title for column, _ in columns}
    assert width < 60 or sum(cells + 2 for _, cells in columns) <= width
    assert ("curve" in {column.title for column, _ in columns}) == (width >= 78)
