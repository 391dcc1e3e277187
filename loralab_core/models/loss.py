"""The loss a decoder is trained by: next-token cross-entropy over the trained positions of packed windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from loralab_core.models.decoder import Decoder, Plans
from loralab_core.ops import AttentionPlan, linear_cross_entropy
from loralab_core.text.packing import Batch, Windows


@dataclass
class DeviceBatch:
    """A micro-batch on the device, its metadata computed once on the host for all layers."""

    ids: Tensor  # [rows, time]
    positions: Tensor  # [rows, time]
    trained: Tensor  # [n] flat indices into rows · time whose next token is trained
    labels: Tensor  # [n] those next tokens
    plans: Plans


def to_device(batch: Batch, model: Decoder) -> DeviceBatch:
    """Columns that are padding in every row are left out: nobody looks at them."""
    device = model.device
    time = max((row[-1][1] for row in batch.segments if row), default=1)
    labels = batch.labels[:, :time].reshape(-1)
    trained = np.flatnonzero(labels >= 0)
    return DeviceBatch(
        ids=torch.from_numpy(batch.ids[:, :time]).to(device),
        positions=torch.from_numpy(batch.positions[:, :time]).to(device),
        trained=torch.from_numpy(trained).to(device),
        labels=torch.from_numpy(labels[trained]).to(device),
        plans={
            window: AttentionPlan.packed(batch.segments, time, device, window)
            for window in model.config.distinct_windows
        },
    )


def batch_loss(model: Decoder, batch: Batch, scale: float) -> Tensor:
    """scale · Σ negative log-likelihood over the batch's trained positions, a float32 scalar with gradient."""
    placed = to_device(batch, model)
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
