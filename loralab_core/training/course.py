"""What may be changed while a run is trained, as functions of the step: so a resumed run meets every change again."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loralab_core.runs.events import Event

Timeline = list[tuple[int, float]]  # (steps made when it was set, value), in order


class Course:
    """The length of a run, its highest learning rate and its micro-batch. A change made at step n counts from n + 1 on.

    A change takes the place of those made at the same step or later ones: the run was resumed from before them.
    """

    def __init__(self, steps: int, lr: float, micro_batch: int = 1) -> None:
        self._steps: Timeline = [(0, steps)]
        self._lr: Timeline = [(0, lr)]
        self._micro_batch: Timeline = [(0, micro_batch)]

    def follow(self, events: Iterable["Event"]) -> None:
        """Take over what an earlier sitting wrote down."""
        for event in events:
            if event["event"] == "changed":
                self.change(event["at_step"], event.get("steps"), event.get("lr"), event.get("micro_batch"))

    def change(
        self, at_step: int, steps: int | None = None, lr: float | None = None, micro_batch: int | None = None
    ) -> None:
        if steps is not None:
            self._steps = [*_before(self._steps, at_step), (at_step, steps)]
        if lr is not None:
            self._lr = [*_before(self._lr, at_step), (at_step, lr)]
        if micro_batch is not None:
            self._micro_batch = [*_before(self._micro_batch, at_step), (at_step, micro_batch)]

    @property
    def steps(self) -> int:
        """How many there will be."""
        return int(self._steps[-1][1])

    def steps_at(self, step: int) -> int:
        """How many there were to be when `step` (from 1) was made: its schedule depends on that."""
        return int(_before(self._steps, step)[-1][1])

    def lr_at(self, step: int) -> float:
        return _before(self._lr, step)[-1][1]

    def micro_batch_at(self, step: int) -> int:
        return int(_before(self._micro_batch, step)[-1][1])


def _before(timeline: Timeline, step: int) -> Timeline:
    return [one for one in timeline if one[0] < step]
