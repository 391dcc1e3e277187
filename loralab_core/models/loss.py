"""The loss a decoder is trained by: next-token cross-entropy over the trained positions of packed windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from loralab_core.models.decoder import Decoder, Plans
from loralab_core.ops import AttentionPlan, linear_cross_entropy
from loralab_core.text.packing import IGNORED, Batch, Windows

PIECES = 8  # into which sizes are rounded

Shape = tuple[int | str, ...]


@dataclass
class DeviceBatch:
    """A micro-batch on the device, its metadata computed once on the host for all layers."""

    ids: Tensor  # [rows, time]
    positions: Tensor  # [rows, time]
    trained: Tensor  # [n] flat indices into rows · time whose next token is trained
    labels: Tensor  # [n] those next tokens; IGNORED where n was rounded up
    plans: Plans

    @property
    def shape(self) -> Shape:
        """Batches of the same are computed by the same kernels in the same memory."""
        plans = ((window, plan.segments, plan.mask is None) for window, plan in self.plans.items())
        return (*self.ids.shape, len(self.labels), str(tuple(plans)))

    def copy_(self, other: "DeviceBatch") -> None:
        """The contents of a batch of the same shape, into this one's memory."""
        for own, new in zip(self._tensors(), other._tensors(), strict=True):
            own.copy_(new)

    def _tensors(self) -> list[Tensor]:
        masks = [plan.mask for plan in self.plans.values() if plan.mask is not None]
        return [self.ids, self.positions, self.trained, self.labels, *masks]


def to_device(batch: Batch, model: Decoder, alike: bool = False) -> DeviceBatch:
    """Columns that are padding in every row are left out: nobody looks at them.

    `alike`: sizes are rounded up by an eighth of the largest at most, so that most batches of a run have one shape.
    """
    device, (rows, longest) = model.device, batch.ids.shape
    time = max((row[-1][1] for row in batch.segments if row), default=1)
    time = _rounded(time, longest) if alike else time
    labels = batch.labels[:, :time].reshape(-1)
    trained = np.flatnonzero(labels != IGNORED)
    more = _rounded(len(trained), rows * longest) - len(trained) if alike else 0
    return DeviceBatch(
        ids=torch.from_numpy(batch.ids[:, :time]).to(device),
        positions=torch.from_numpy(batch.positions[:, :time]).to(device),
        trained=torch.from_numpy(np.pad(trained, (0, more))).to(device),
        labels=torch.from_numpy(np.pad(labels[trained], (0, more), constant_values=IGNORED)).to(device),
        plans={
            window: AttentionPlan.packed(batch.segments, time, device, window, alike)
            for window in model.config.distinct_windows
        },
    )


def _rounded(count: int, most: int) -> int:
    """Up to a multiple of an eighth of `most`."""
    piece = max(1, most // PIECES)
    return min(most, -(-count // piece) * piece)


def batch_loss(model: Decoder, batch: Batch, scale: float) -> Tensor:
    """scale · Σ negative log-likelihood over the batch's trained positions, a float32 scalar with gradient."""
    return placed_loss(model, to_device(batch, model), scale)


def placed_loss(model: Decoder, placed: DeviceBatch, scale: float) -> Tensor:
    """The same of a batch that is on the device."""
    hidden = model.hidden(placed.ids, positions=placed.positions, plans=placed.plans)
    states = hidden.flatten(0, 1).index_select(0, placed.trained)
    head, config = model.head, model.config
    how = {"bias": head.bias, "logit_scale": config.logit_scale, "cap": config.logit_cap, "compute": head.compute}
    return linear_cross_entropy(states, head.weight, placed.labels, scale, **how)  # type: ignore[arg-type]


def evaluate_windows(model: Decoder, windows: Windows, indices: np.ndarray, micro: int) -> Iterator[tuple[float, int]]:
    """(Σ negative log-likelihood, trained tokens) of `micro` windows at a time; adds up to a mean loss.

    Gradients are off inside each piece only: the caller may train between two of them.
    """
    for start in range(0, len(indices), micro):
        batch = windows.batch(indices[start : start + micro])
        with torch.no_grad():
            loss = float(batch_loss(model, batch, 1.0))
        yield loss, batch.trained
