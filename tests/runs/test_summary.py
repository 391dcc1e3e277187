"""How a run stands is derived from its events and its owner, never stored."""

from typing import Any

import pytest

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.owner import claim
from loralab_core.runs.summary import spark, summarise, thin
from tests.runs.writing import write


def steps(first: int, last: int, loss: float = 3.0) -> list[dict[str, Any]]:
    return [{"event": "step", "step": step, "loss": loss, "tokens": 100 * step} for step in range(first, last + 1)]


def test_without_owner_and_ending_it_was_interrupted(run: RunDirectory) -> None:
    write(run, {"event": "prepared", "steps": 10}, *steps(1, 4))
    found = summarise(run)
    assert (found.status, found.step, found.steps, found.tokens) == ("interrupted", 4, 10, 400)


def test_with_a_living_owner_it_runs(run: RunDirectory) -> None:
    claim(run)
    assert summarise(run).status == "running"


@pytest.mark.parametrize(("event", "status"), [("done", "finished"), ("stopped", "stopped"), ("failed", "failed")])
def test_the_last_event_says_how_it_ended(run: RunDirectory, event: str, status: str) -> None:
    write(run, *steps(1, 2), {"event": event, "why": "because", "seconds": 12.5})
    found = summarise(run)
    assert (found.status, found.why, found.seconds) == (status, "because", 12.5)


def test_resumed_after_its_end_and_killed_it_is_interrupted_again(run: RunDirectory) -> None:
    write(run, {"event": "prepared", "steps": 2}, *steps(1, 2), {"event": "done"})
    write(run, {"event": "resumed", "step": 2}, {"event": "changed", "at_step": 2, "steps": 5}, *steps(3, 3))
    found = summarise(run)
    assert (found.status, found.step, found.steps) == ("interrupted", 3, 5)


def test_taken_up_again_after_its_end_it_runs(run: RunDirectory) -> None:
    """Also while its model is being read, before the first event says so."""
    write(run, {"event": "prepared", "steps": 4}, *steps(1, 4), {"event": "done", "steps": 4})
    assert summarise(run).status == "finished"
    claim(run)
    assert summarise(run).status == "running"


def test_best_validation_among_what_still_counts(run: RunDirectory) -> None:
    def evaluated(step: int, loss: float) -> dict[str, Any]:
        return {"event": "eval", "step": step, "loss": loss, "perplexity": loss * 10}

    write(run, evaluated(1, 2.0), evaluated(2, 1.0), {"event": "resumed", "step": 1}, evaluated(2, 1.5))
    found = summarise(run)
    assert (found.best_step, found.val_loss, found.val_perplexity) == (2, 1.5, 15.0)


def test_losses_that_are_no_numbers_are_gaps(run: RunDirectory) -> None:
    write(run, *steps(1, 1, 4.0), *steps(2, 2, float("nan")), *steps(3, 3, 2.0))
    found = summarise(run)
    assert found.curve == [4.0, None, 2.0] and spark(found.curve) == "█ ▁"


def test_nothing_written_yet_is_no_error(run: RunDirectory) -> None:
    found = summarise(run)
    assert (found.step, found.loss, found.curve) == (0, None, []) and spark([]) == ""


def test_thinning_keeps_both_ends() -> None:
    thinned = thin([float(value) for value in range(1000)], 32)
    assert len(thinned) == 32 and thinned[0] == 0 and thinned[-1] == 999
