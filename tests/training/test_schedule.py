"""The learning rate is a function of the step alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loralab_core.optim import learning_rate

SCHEDULES = ("constant", "linear", "cosine")


@given(st.sampled_from(SCHEDULES), st.integers(1, 200), st.integers(0, 50))
def test_rises_in_warm_up_and_never_again(schedule: str, steps: int, warmup: int) -> None:
    rates = [learning_rate(step, steps, 1.0, schedule, warmup) for step in range(1, steps + 1)]
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)


def test_known_values() -> None:
    assert [learning_rate(step, 8, 2.0, "linear", 4) for step in (1, 4, 5, 7)] == [0.5, 2.0, 2.0, 1.0]
    assert learning_rate(5, 8, 1.0, "cosine", 0) == pytest.approx(0.5)
    assert learning_rate(8, 8, 3.0, "constant", 0) == 3.0
