from array import array
from collections.abc import Iterator
from typing import Any

from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.cards import card
from loralab_tui.states.run_cards import before_after
from loralab_tui.states.strip import run_line
from loralab_tui.studio import Studio


def view_of(*events: dict[str, Any]) -> RunView:
    view = RunView("/runs/a")
    for number, event in enumerate(events, 1):
        view.apply({"seq": number, "time": float(number), **event})
    return view


def step(number: int, loss: float | None = 2.0) -> dict[str, Any]:
    return {"event": "step", "step": number, "loss": loss, "tokens_per_s": 100.0, "eta_s": 5.0}


def test_what_was_seen_already_changes_nothing() -> None:
    view = view_of({"event": "prepared", "steps": 10}, step(1, 3.0), step(2, 2.0))
    view.apply({"seq": 2, "time": 2.0, **step(1, 99.0)})
    assert list(view.curve.losses) == [3.0, 2.0]


def test_progress_before_the_first_step_has_no_number_and_still_shows() -> None:
    view = view_of()
    view.apply({"event": "tokenizing", "done_bytes": 30, "total_bytes": 60})
    assert (view.doing, view.share, view.seq) == ("reading the corpus", 0.5, 0)


def test_resuming_voids_later_steps_and_marks_the_place() -> None:
    evaluations = [{"event": "eval", "step": n, "loss": 3.0 - n / 10, "perplexity": 20.0} for n in (2, 4)]
    view = view_of(*[step(n) for n in range(1, 5)], *evaluations, {"event": "resumed", "step": 2}, step(3))
    assert list(view.curve.steps) == [1, 2, 3]
    assert view.validation == [(2, 2.8)]
    assert [(mark.step, mark.kind) for mark in view.marks] == [(2, "resumed")]
    assert view.phase is Phase.TRAINING


def test_steps_without_a_number_are_told_once_for_each_stretch() -> None:
    view = view_of(step(1), step(2, None), step(3, None), step(4), step(5, None))
    assert [line for line in view.log if line.startswith("✕")] == [
        "✕ step 2–3: the loss was not a number",
        "✕ step 5: the loss was not a number",
    ]


def test_a_line_between_two_stretches_without_a_number_stays() -> None:
    evaluated = {"event": "eval", "step": 10, "loss": 2.5}
    view = view_of(step(10, None), evaluated, {"event": "checkpoint", "step": 10}, step(11, None), step(12, None))
    assert list(view.log) == [
        "✕ step 10: the loss was not a number",
        "◆ step 10: validation 2.50  saved",
        "✕ step 11–12: the loss was not a number",
    ]


def test_how_a_run_failed_once_does_not_colour_what_happens_after_it_was_resumed() -> None:
    view = view_of(step(1), {"event": "failed", "why": "no", "kind": "bad_input"}, {"event": "resumed", "step": 1})
    assert view.kind == view.why == ""


def test_an_evaluation_that_was_saved_is_one_line() -> None:
    view = view_of({"event": "eval", "step": 5, "loss": 2.5, "perplexity": 12.2}, {"event": "checkpoint", "step": 5})
    assert list(view.log) == ["◆ step 5: validation 2.50  perplexity 12.2  saved"]
    assert view.checkpoint == 5


def test_pausing_and_going_on() -> None:
    view = view_of(step(1), {"event": "paused"})
    assert view.phase is Phase.PAUSED
    view.apply({"seq": 3, "event": "continued"})
    assert view.phase is Phase.TRAINING


def test_each_end_says_what_to_press() -> None:
    for event, words in (
        ({"event": "done", "seconds": 65.0}, "F8 export"),
        ({"event": "stopped", "why": "stopped by the user"}, "F2 resumes"),
        ({"event": "failed", "why": "out of memory; try a smaller --micro-batch"}, "F2 offers settings that need less"),
    ):
        told = card(Studio(run=view_of(step(1), event)))
        assert told is not None and words in told.text
        assert event.get("why", "")[1:13] in told.text


class Counted(array):
    """Numbers that count how many of them were read."""

    reads = 0

    def __getitem__(self, index: Any) -> Any:
        self.reads += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[float]:
        return (self[index] for index in range(len(self)))


def test_what_is_said_of_a_long_run_at_every_refresh_reads_few_of_its_losses() -> None:
    view = view_of(step(1, None), step(2, 4.0), *(step(number) for number in range(3, 5000)), step(5000, None))
    losses = view.curve.losses = Counted("d", view.curve.losses)
    assert before_after(view) == "Loss of the first step 4.00, of the last 2.00"
    assert run_line(view).startswith(" ▁▁▁▁▁▁▁▁▁▁  not a number") and losses.reads < 50
