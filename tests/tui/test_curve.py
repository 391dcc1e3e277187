import math
import random

import pytest

from loralab_tui.runs.curve import Curve
from loralab_tui.runs.scale import round_ticks


def curve_of(losses: list[float | None], first: int = 1) -> Curve:
    curve = Curve()
    for step, loss in enumerate(losses, first):
        curve.add(step, loss)
    return curve


def test_a_value_that_is_no_number_is_a_gap_in_the_line_and_no_dot() -> None:
    curve = curve_of([3.0, 2.0, None, math.inf, 1.0, 1.0])
    assert [steps for steps, _ in curve.line(100)] == [[1, 2], [5, 6]]
    assert curve.dots(100)[0] == [1, 2, 5, 6]


def test_decimation_is_bounded_and_keeps_the_peaks() -> None:
    random.seed(0)
    losses: list[float | None] = [2 + random.random() for _ in range(10_000)]
    losses[4321], losses[8765] = 9.0, 0.5
    steps, values = curve_of(losses).dots(200)
    assert len(steps) <= 400
    assert (steps[values.index(9.0)], steps[values.index(0.5)]) == (4322, 8766)
    assert steps == sorted(steps)


def test_the_smooth_line_does_not_lag_behind_a_straight_fall() -> None:
    curve = curve_of([10 - step / 10 for step in range(60)])
    ((steps, values),) = curve.line(100)
    assert values[30] == pytest.approx(10 - (steps[30] - 1) / 10)


def test_a_resumed_run_voids_later_steps() -> None:
    curve = curve_of([3.0, None, 2.0, 1.0])
    curve.cut(2)
    assert list(curve.steps) == [1, 2]
    curve.add(3, 2.5)
    assert curve.losses[-1] == 2.5


def test_a_step_that_comes_again_replaces_what_followed() -> None:
    curve = curve_of([3.0, 2.0, 1.0])
    curve.add(2, 2.2)
    assert list(curve.losses) == [3.0, 2.2]


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (2.4, 5.7, 4, [3, 4, 5]),
        (1, 340, 5, [100, 200, 300]),
        (0.001, 0.004, 4, [0.001, 0.002, 0.003, 0.004]),
        (3.0, 3.0, 4, [3.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, expected: list[float]) -> None:
    assert round_ticks(low, high, most)[: len(expected)] == pytest.approx(expected)
