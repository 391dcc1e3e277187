"""What part of the losses is shown: a first spike must not hide the rest, and what is left out is said."""

import math
from collections.abc import Callable

import pytest

from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.scale import Scale, below, label, log_ticks, roomy, round_ticks, scale
from loralab_tui.runs.view import RunView
from loralab_tui.screens.compare_runs import CompareRuns
from loralab_tui.widgets.chart import LossChart, drawing, fitting, legend
from loralab_tui.widgets.plot import LOG_SCALE
from tests.tui.driving import seen, shown, until
from tests.tui.made_runs import made_run
from tests.tui.test_layout import ChartApp

WIDE = 200


def fall(spike: bool) -> list[float]:
    losses = [3.0 - step / 200 for step in range(200)]
    return [11.0, 9.0, 7.0, *losses] if spike else losses


def view_of(losses: list[float], *events: dict[str, object]) -> RunView:
    view = RunView("/r")
    steps = [{"event": "step", "step": n, "loss": loss, "tokens": 4096 * n} for n, loss in enumerate(losses, 1)]
    for seq, event in enumerate([*steps, *events], 1):
        view.apply({"seq": seq, "time": float(seq), **event})
    return view


def test_a_spike_is_cut_off_and_named() -> None:
    shown = scale(fall(spike=True))
    assert shown.cut == 11.0 and 3.0 < shown.high < 3.5 and shown.low == pytest.approx(2.005)
    view = view_of(fall(spike=True))
    assert "↑ up to 11.0" in legend(view, drawing(view, 80), WIDE)


def test_an_ordinary_fall_is_shown_whole() -> None:
    assert scale(fall(spike=False)) == (pytest.approx(2.005), 3.0, None)
    early = [10 * math.exp(-step / 30) + 2 for step in range(100)]
    assert scale(early).cut is None


def test_few_steps_are_shown_whole() -> None:
    assert scale([11.0, 3.0, 2.9]) == (2.9, 11.0, None)


def test_validation_is_never_cut_off() -> None:
    assert scale(fall(spike=True), always=[8.0]).high >= 8.0


def test_a_line_ends_at_the_edge_where_it_leaves_and_begins_there_again() -> None:
    parts = below(([0, 10, 20, 30, 40], [6.0, 2.0, 2.0, 6.0, 2.0]), 4.0)
    assert parts == [([5, 10, 20, 25], [4.0, 2.0, 2.0, 4.0]), ([35, 40], [4.0, 2.0])]


def test_the_newest_quarter_has_a_scale_of_its_own() -> None:
    view = view_of(fall(spike=True), {"event": "eval", "step": 100, "loss": 2.5}, {"event": "paused", "at_step": 100})
    newest = drawing(view, 80, 0.25)
    assert view.curve.steps[newest.first] == 153 and newest.scale is not None
    assert newest.scale.cut is None and newest.scale.high < 2.3
    assert "best" not in legend(view, newest, WIDE) and "paused" not in legend(view, newest, WIDE)


def test_what_happened_and_the_best_stand_in_the_legend() -> None:
    events = [{"event": "eval", "step": 100, "loss": 2.5}, {"event": "paused", "at_step": 100}]
    view = view_of(fall(False), *events, {"event": "resumed", "step": 150}, {"event": "changed", "at_step": 150})
    said = legend(view, drawing(view, 80), WIDE)
    assert all(word in said for word in ("★ best 2.50", "‖ paused", "▲ resumed", "△ changed", "tokens", "━ smooth"))
    assert [(mark.step, mark.kind) for mark in view.marks] == [(100, "paused"), (150, "resumed"), (150, "changed")]


def test_many_validations_do_not_hide_the_line_and_the_best_stays() -> None:
    evals = [{"event": "eval", "step": n, "loss": 1.5 if n == 101 else 2.5} for n in range(1, 200)]
    shown = drawing(view_of(fall(False), *evals), 80)
    assert len(shown.validation) <= 12 and (101, 1.5) in shown.validation and shown.validation[-1][0] == 199
    assert shown.scale is not None and shown.scale.low == 1.5
    few = [{"event": "eval", "step": n, "loss": 2.5} for n in (50, 100, 150)]
    assert [step for step, _ in drawing(view_of(fall(False), *few), 80).validation] == [50, 100, 150]


def test_where_room_is_short_the_usual_goes_first() -> None:
    parts = [(5, "dots"), (0, "important"), (2, "best")]
    assert fitting(parts, 100) == "dots  important  best"
    assert fitting(parts, 16) == "important  best" and fitting(parts, 9) == "important"


async def test_the_key_shows_the_newest_quarter_and_all_again() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        app.studio.run = view_of(fall(False))
        app.main.show()
        for from_step in (True, False):
            await pilot.press("alt+z")
            await until(pilot, lambda from_step=from_step: ("from step 151" in shown(app, "#legend")) is from_step)


@pytest.mark.parametrize(("ticks_of", "height"), [(round_ticks, float), (log_ticks, math.log10)])
@pytest.mark.parametrize("low", [0.003, 0.9, 1.9, 2.6, 640.0])
@pytest.mark.parametrize("times", [1.00001, 1.03, 1.7, 2.2, 4.3, 9.9, 10.1, 23.0, 130.0, 1e5])
def test_two_different_labels_stand_on_rows_of_their_own(
    ticks_of: Callable[[float, float, int], list[float]], height: Callable[[float], float], low: float, times: float
) -> None:
    high = low * times
    for most in range(3, 12):
        ticks = ticks_of(low, high, most)
        assert 2 <= len({label(tick) for tick in ticks}) == len(ticks) <= most
        assert low * (1 - 1e-9) <= min(ticks) and max(ticks) <= high * (1 + 1e-9)
        assert 2 * (height(ticks[-1]) - height(ticks[0])) > 0.99 * (height(high) - height(low)), "not side by side"


@pytest.mark.parametrize("ticks_of", [round_ticks, log_ticks])
def test_ends_that_are_ticks_themselves_leave_no_scale_without_labels(
    ticks_of: Callable[[float, float, int], list[float]],
) -> None:
    """There a rounding error decides how many multiples lie inside."""
    for hundredths in range(100, 400):
        for wide in (1, 2, 3, 4, 10, 30):
            for most in (3, 4, 6):
                ticks = ticks_of(hundredths / 100, (hundredths + wide) / 100, most)
                assert 2 <= len(set(ticks)) <= most


def test_ticks_of_a_logarithmic_scale_are_powers_of_ten_and_what_is_round_between() -> None:
    assert log_ticks(0.4, 12, 6) == pytest.approx([0.5, 1, 2, 5, 10])
    assert log_ticks(0.002, 30, 5) == pytest.approx([0.01, 0.1, 1, 10])
    assert log_ticks(2.4, 5.7, 4) == round_ticks(2.4, 5.7, 4) == [3, 4, 5]


def test_values_that_are_all_alike_stand_between_two_ticks() -> None:
    assert roomy(Scale(3.0, 3.0)) == (pytest.approx(2.85), pytest.approx(3.15), None)
    assert roomy(Scale(0.0, 0.0)) == (-1.0, 1.0, None) and roomy(Scale(1.0, 2.0, 5.0)) == (1.0, 2.0, 5.0)


def test_labels_are_exact() -> None:
    said = {2.5: "2.5", 950: "950", 9500: "9500", 12_500: "12.5k", 20_000: "20k", 1_205_000: "1.205M", 3e9: "3G"}
    assert {tick: label(tick) for tick in said} == said


@pytest.mark.parametrize(("high", "rows"), [(8.1, 6), (8.1, 12), (2.0, 6), (5.5, 8)])
@pytest.mark.parametrize("logarithmic", [False, True])
async def test_a_point_stands_on_the_row_whose_label_is_its_value(high: float, rows: int, logarithmic: bool) -> None:
    heights = [high - step * (high - 1.9) / 40 for step in range(41)]
    app = ChartApp(view_of(heights))
    async with app.run_test(size=(60, rows)) as pilot:
        app.set_class(logarithmic, LOG_SCALE)
        chart = app.query_one(LossChart)
        chart.show(app.view)
        await pilot.pause()
        labels = {number: float(line.split("┤")[0]) for number, line in enumerate(seen(app).split("\n")) if "┤" in line}
        assert len(set(labels.values())) >= 2
        for value in labels.values():
            chart.show(view_of(heights, {"event": "eval", "step": 20, "loss": value}))
            await pilot.pause()
            (row,) = [number for number, line in enumerate(seen(app).split("\n")) if "★" in line]
            assert labels[row] == value


def logarithmic_axis(app: StudioApp) -> bool:
    return "log scale" in seen(app)


async def test_the_key_changes_the_scale_and_back_and_the_legend_says_so() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        app.studio.run = view_of([0.01 + 9 * math.exp(-step / 20) for step in range(200)])
        app.main.show()
        for tick, there in (("0.05┤", True), ("0.05┤", False)):
            await pilot.press("alt+l")
            await until(pilot, lambda there=there: logarithmic_axis(app) is there)
            assert (tick in seen(app)) is there


async def test_two_runs_compared_share_the_scale_of_the_session(app: StudioApp) -> None:
    both = CompareRuns(str(made_run(60, name="a").path), str(made_run(80, name="b").path))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("alt+l")
        await app.push_screen(both)
        await until(pilot, lambda: "over steps, log scale" in seen(app))
        built = both.chart.built
        await pilot.press("alt+l")
        await until(pilot, lambda: both.chart.built > built and "log scale" not in seen(app))
        assert {line.split("┤")[0].strip() for line in seen(app).splitlines() if "┤" in line} >= {"3", "4", "5"}


async def test_a_loss_of_zero_has_no_logarithm_and_the_scale_stays_linear() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        app.studio.run = view_of([3.0, 2.0, 0.0, 1.0])
        await pilot.press("alt+l")
        await until(pilot, lambda: "1┤" in seen(app))
        assert not logarithmic_axis(app)
