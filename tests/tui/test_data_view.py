"""F10: samples with the loss mask, figures of the corpus, the live batch; and the pictures they are made of."""

import json
from pathlib import Path

import pytest

from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.data import figures as corpus_figures
from loralab_tui.data import looking as data
from loralab_tui.data import marked
from loralab_tui.screens.data_view import DataView
from tests.tui.driving import ready, training, until
from tests.tui.fake_engine import FakeEngine

ROWS = [{"prompt": f"What is {n} and one?", "completion": f"It is {n + 1}."} for n in range(30)]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    rows = [*ROWS[:6], {"prompt": "nothing", "completion": ""}, *ROWS[6:]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def real_model(fixtures_dir: Path) -> Path:
    return fixtures_dir / "models/stories3M"


@pytest.fixture
def studio_app(engine: FakeEngine, real_model: Path, chats: Path, home: Path) -> StudioApp:
    return StudioApp(Options(model=str(real_model), corpus=str(chats), host="box"), open_engine=engine.open)


def text_of(app: StudioApp, selector: str) -> str:
    return str(app.screen.query_one(selector).render())


async def opened(app: StudioApp, pilot) -> DataView:
    await ready(app, pilot)
    await pilot.press("f10")
    await until(pilot, lambda: isinstance(app.screen, DataView), "the screen opened")
    assert isinstance(app.screen, DataView)
    return app.screen


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_samples_show_what_is_trained_beside_the_figures(studio_app: StudioApp, size: tuple[int, int]) -> None:
    async with studio_app.run_test(size=size) as pilot:
        screen = await opened(studio_app, pilot)
        await until(pilot, lambda: screen.facts)
        lines = text_of(studio_app, "#marked").splitlines()
        (answer,) = [line for line in lines if "It is 1." in line]
        (question,) = [line for line in lines if "What is 0" in line]
        assert answer.startswith(marked.BAR) and not question.startswith(marked.BAR)
        room = screen.query_one("#text").content_size.width
        await until(pilot, lambda: all(len(line) <= room for line in text_of(studio_app, "#marked").splitlines()))
        assert "line 7 of sums.jsonl" in " ".join(text_of(studio_app, "#statistics").split())
        assert "window of 512" in text_of(studio_app, "#histogram")


async def test_the_arrows_go_through_the_samples_and_letters_do_nothing(studio_app: StudioApp) -> None:
    async with studio_app.run_test(size=(120, 40)) as pilot:
        screen = await opened(studio_app, pilot)
        await until(pilot, lambda: screen.facts)
        await pilot.press("right", "right", "left")
        await until(pilot, lambda: "sample 2 of" in text_of(studio_app, "#which"))
        await pilot.press("left", "left")
        await until(pilot, lambda: "sample 29 of 29" in text_of(studio_app, "#which"))
        await pilot.press("q", "x", "space")
        assert studio_app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: studio_app.screen is studio_app.main)


async def test_the_window_is_the_plans(studio_app: StudioApp) -> None:
    from loralab_tui.plan import plan_from

    async with studio_app.run_test(size=(120, 40)) as pilot:
        await ready(studio_app, pilot)
        studio_app.studio.plan = plan_from({"seq_len": "16"})
        screen = await opened(studio_app, pilot)
        await until(pilot, lambda: screen.facts)
        assert screen.facts is not None and screen.facts.seq_len == 16
        assert "30 rows longer than 16 tokens" in " ".join(text_of(studio_app, "#statistics").split())


async def test_without_a_corpus_it_says_which_key_chooses_one(engine: FakeEngine, real_model: Path) -> None:
    app = StudioApp(Options(model=str(real_model), host="box"), open_engine=engine.open)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.studio.status)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, DataView) and "F7" in text_of(app, "#marked"))


async def test_a_corpus_that_cannot_be_read_is_explained(studio_app: StudioApp, chats: Path) -> None:
    async with studio_app.run_test(size=(80, 24)) as pilot:
        await ready(studio_app, pilot)
        chats.write_text('{"prompt": "a", "completion": "b"}\nthis is no JSON\n')
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(studio_app.screen, DataView))
        await until(pilot, lambda: "line 2 is not valid JSON" in text_of(studio_app, "#marked"))


async def test_during_training_the_batch_is_asked_for_only_while_it_is_looked_at(
    studio_app: StudioApp, engine: FakeEngine
) -> None:
    async with studio_app.run_test(size=(120, 40)) as pilot:
        await training(studio_app, pilot, engine)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(studio_app.screen, DataView))
        await until(pilot, lambda: "A cat." in text_of(studio_app, "#marked"))
        assert "step 1" in text_of(studio_app, "#which")
        await pilot.press("tab")
        await until(pilot, lambda: "What is 0" in text_of(studio_app, "#marked"))
        asked = len([one for one in engine.asked if isinstance(one, wire.Peek)])
        screen = studio_app.screen
        assert isinstance(screen, DataView)
        screen._ask_batch()
        await pilot.press("escape")
        await until(pilot, lambda: studio_app.screen is studio_app.main)
        assert len([one for one in engine.asked if isinstance(one, wire.Peek)]) == asked


async def test_leaving_while_the_corpus_is_read_ends_the_process(studio_app: StudioApp, tmp_path: Path) -> None:
    import psutil

    big = tmp_path / "big.txt"
    big.write_text("word after word after word\n" * 400_000)
    async with studio_app.run_test(size=(80, 24)) as pilot:
        await ready(studio_app, pilot)
        studio_app.studio.corpus = type(studio_app.studio.corpus)(str(big))  # type: ignore[misc, arg-type]
        await pilot.press("f10")
        await until(pilot, lambda: "of 10.8 MB" in text_of(studio_app, "#marked"))
        await pilot.press("escape")
        me = psutil.Process()
        await until(pilot, lambda: not [one for one in me.children() if str(big) in " ".join(one.cmdline())])


def test_only_a_part_of_a_line_is_underlined() -> None:
    shown = marked.content([("Who? ", False), ("Me.\n", True), ("And more", True)], 40)
    first, second = shown.split("\n")
    assert [str(line) for line in (first, second)] == ["▌ Who? Me.", "▌ And more"]
    assert ["underline" in str(span.style) for span in first.spans] == [False, False, True]
    assert not any("underline" in str(span.style) for span in second.spans)


@pytest.mark.parametrize("width", [1, 4, 7, 30])
def test_wrapping_loses_nothing_and_fits(width: int) -> None:
    from rich.cells import cell_len

    parts = [("a bc  def ghijklmnop\n\n qr", False), ("漢字かな交じり文 stu\tv", True)]
    lines = list(marked.wrapped(parts, max(2, width)))
    joined = "".join(text for line in lines for text, _ in line)
    assert joined.replace(" ", "") == "abcdefghijklmnopqr漢字かな交じり文stuv"
    assert all(cell_len("".join(text for text, _ in line).rstrip()) <= max(2, width) for line in lines)


@pytest.mark.parametrize("sign", ["\x1b", "\r", "\x9b", "\u202e", "\u2028", "\ud800", "\x00"])
def test_what_acts_on_a_terminal_becomes_a_picture(sign: str) -> None:
    (line,) = marked.wrapped([(f"red {sign}[31m", True)], 40)
    text = "".join(part for part, _ in line)
    assert sign not in text and "[31m" in text
    assert len(text) == len("red ?[31m")


@pytest.mark.parametrize(("most", "each"), [(1, 1), (5, 1), (37, 8), (38, 8), (41, 10), (999, 200), (1001, 300)])
def test_the_heights_of_the_histogram_are_exact(most: int, each: int) -> None:
    assert corpus_figures.rows_a_line(most, 5) == each
    bars = corpus_figures.columns([most, 3 * each], 5, each)
    assert [line[1] for line in bars] == [" ", " ", "█", "█", "█"], "a bar of three lines' worth is three lines high"
    assert [said.strip("┤│ ") for said in corpus_figures.heights(each, 5)] == [
        f"{5 * each}",
        "",
        f"{3 * each}",
        "",
        f"{each}",
    ]
    assert corpus_figures.heights(each, 2) == ["", ""], "two lines have no room for a scale"
    assert corpus_figures.columns([most], 2, corpus_figures.rows_a_line(most, 2)) == ["█", "█"]


def test_the_histogram_marks_the_window() -> None:
    lengths = data.Lengths(10, {"p50": 20, "p95": 70, "max": 80}, list(range(0, 81, 10)), [1, 5, 2, 1, 0, 0, 0, 1])
    assert corpus_figures.columns([0, 1, 8], 2, 4) == ["  █", " ▂█"]
    axis = str(corpus_figures._axis(lengths, 40, 40)).splitlines()[1]
    assert axis.index("▲") == 20
    assert "all within the window" in str(corpus_figures._axis(lengths, 40, 512))
