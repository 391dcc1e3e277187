"""Forward and backward passes of micro-batches, replayed as graphs where the device can.

A shape is computed once as it is written, in which kernels are loaded and measured, is recorded the second time and
replayed from then on: the same kernels, without Python between them. Batches are made alike for it: sizes are rounded
up, and which tokens see each other is in the contents of a mask.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loralab_core.models.decoder import Decoder
from loralab_core.models.loss import DeviceBatch, Shape, placed_loss, to_device
from loralab_core.ops.graphs import CannotRecord, Recorder, Replay
from loralab_core.text.packing import Batch

MOST = 8  # graphs: each holds some megabytes of the driver's memory beside what they share


class Recorded:
    """The pass of one shape."""

    def __init__(self, model: Decoder, batch: DeviceBatch, record: Recorder):
        """Nothing is computed yet. Raises CannotRecord."""
        self.batch, self.model = batch, model
        self.factor = torch.zeros((), device=model.device)
        self.loss = torch.zeros((), device=model.device)
        self._replay: Replay = record(self._work)

    def _work(self) -> None:
        self.loss.copy_(_forward_and_back(self.model, self.batch, self.factor))

    def __call__(self, batch: DeviceBatch, scale: float) -> Tensor:
        self.batch.copy_(batch)
        self.factor.fill_(scale)
        self._replay()
        return self.loss


class Passes:
    """`passes(batch, scale)` adds a micro-batch's gradients to those of `trained` and gives its loss.

    `begin()` comes before the passes of a step. `record` None computes every pass as it is written.
    """

    def __init__(self, model: Decoder, trained: Sequence[Tensor], record: Recorder | None):
        self.model, self.trained, self.record = model, trained, record
        self._trouble = ""
        self._gradients: list[Tensor] = []  # that graphs add to
        self._seen: set[Shape] = set()
        self._graphs: dict[Shape, Recorded] = {}

    def begin(self) -> None:
        """No gradients; graphs want theirs where they were."""
        if self.record is None:
            return
        if not self._gradients:
            self._gradients = [torch.zeros_like(tensor) for tensor in self.trained]
        torch._foreach_zero_(self._gradients)
        for tensor, gradient in zip(self.trained, self._gradients, strict=True):
            tensor.grad = gradient

    def forget(self) -> None:
        """Give back the memory of graphs and gradients; shapes are recorded anew when they come again."""
        self._graphs.clear()
        self._seen.clear()
        self._gradients = []

    def told(self) -> str:
        """Why nothing is recorded any more, once."""
        why, self._trouble = self._trouble, ""
        return why

    def __call__(self, batch: Batch, scale: float) -> Tensor:
        """scale · Σ negative log-likelihood, a float32 scalar that the next call may overwrite."""
        placed = to_device(batch, self.model, alike=self.record is not None)
        if self.record is not None and (graph := self._graph(placed, self.record)):
            return graph(placed, scale)
        return _forward_and_back(self.model, placed, scale)

    def _graph(self, batch: DeviceBatch, record: Recorder) -> Recorded | None:
        shape = batch.shape
        if shape in self._seen and shape not in self._graphs and len(self._graphs) < MOST:
            try:
                self._graphs[shape] = Recorded(self.model, batch, record)
            except CannotRecord as error:
                self.record, self._trouble = None, str(error)
                self.forget()
        self._seen.add(shape)
        return self._graphs.get(shape)


def _forward_and_back(model: Decoder, batch: DeviceBatch, scale: float | Tensor) -> Tensor:
    """Gradients are added; the loss."""
    if isinstance(scale, float):
        loss = placed_loss(model, batch, scale)
    else:  # a number would be part of the recording
        loss = placed_loss(model, batch, 1.0) * scale
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()
