"""What is trained and how one optimiser step is made. Knows nothing of files, events or who is watching."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops.graphs import Recorder, recorder
from loralab_core.ops.random_bits import counter_seed
from loralab_core.optim import create_optimizer, learning_rate
from loralab_core.text.packing import Windows, order
from loralab_core.training.course import Course
from loralab_core.training.loss_scale import LossScale
from loralab_core.training.passes import Passes

if TYPE_CHECKING:
    from loralab_core.runs.config import TrainConfig


@dataclass
class StepResult:
    loss: float  # mean over the step's trained tokens, before the update
    grad_norm: float  # before clipping
    tokens: int  # non-padding positions
    seconds: float  # inside the step, whatever its caller did between micro-batches excluded
    lr: float
    skipped: bool  # the gradient was not finite, so nothing was changed
    loss_scale: float  # 1 unless activations are in fp16


class Trainer:
    """Owns the trainable tensors and their optimiser. `step` is the number of finished optimiser steps.

    Of the settings only those of a step are looked at, so any record that has these will do.
    """

    def __init__(self, lm: LoadedModel, config: "TrainConfig", windows: Windows, steps: int, adapter: Adapter | None):
        """`adapter` None trains all weights of the model (config.mode "full")."""
        self.lm, self.config, self.windows, self.adapter = lm, config, windows, adapter
        self.course = Course(steps, config.lr, config.micro_batch or config.batch)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.is_updating = False  # weights are being changed, so the step cannot be taken again
        self.named = dict(self._trainable())
        for tensor in self.named.values():
            tensor.requires_grad_(True)
        self.optimizer = create_optimizer(config, self.named.values())
        self.loss_scale = LossScale(lm.model.dtype)
        self.passes = Passes(lm.model, tuple(self.named.values()), self._recorder())

    def _recorder(self) -> Recorder | None:
        """None where a pass draws its dropout on the host, or asks the device which experts it takes."""
        drawn = self.adapter is not None and any(lora.dropout for lora in self.adapter.layers.values())
        possible = self.config.capture and not drawn and not self.lm.model.config.experts
        return recorder(self.lm.device) if possible else None

    def _trainable(self) -> Iterator[tuple[str, Tensor]]:
        if self.adapter is None:
            yield from self.lm.model.named_parameters()
            return
        for path, lora in self.adapter.layers.items():
            yield f"{path}.lora_A", lora.a
            yield f"{path}.lora_B", lora.b

    @property
    def steps(self) -> int:
        """How many there will be."""
        return self.course.steps

    @property
    def micro_batch(self) -> int:
        """Windows of a pass in the step to come."""
        return min(self.config.batch, self.course.micro_batch_at(self.step + 1))

    @property
    def parameter_count(self) -> int:
        return sum(tensor.numel() for tensor in self.named.values())

    def run_step(self) -> Iterator[None | StepResult]:
        """One optimiser step: yields None between micro-batches, at last the result.

        Close it to abandon the step. Until `is_updating` it has changed nothing, so after an error it can be taken
        again: in other micro-batches too, since a sum does not depend on where it is cut. So it is where the loss was
        scaled too high, with half the scale: which steps there are does not depend on scales.
        """
        config, number, micro = self.config, self.step + 1, self.micro_batch
        chosen = order(len(self.windows), number, config.batch, config.seed)
        batches = [self.windows.batch(chosen[start : start + micro]) for start in range(0, len(chosen), micro)]
        factor = self.loss_scale.factor
        scale = factor / max(1, sum(batch.trained for batch in batches))
        self.optimizer.zero_grad()
        self.passes.begin()
        loss, seconds = torch.zeros((), device=self.lm.device), 0.0
        for index, batch in enumerate(batches):
            if index:
                yield None
            began = time.perf_counter()
            with self._training_mode(index):
                loss += self.passes(batch, scale)
            seconds += time.perf_counter() - began
        began = time.perf_counter()
        peak, steps = self.course.lr_at(number), self.course.steps_at(number)
        lr = learning_rate(number, steps, peak, config.schedule, config.warmup)
        norm, skipped = self._update(lr)
        mean = float(loss) / factor
        if skipped and math.isfinite(mean) and self.loss_scale.lower():
            yield None
            yield from self.run_step()
            return
        result = StepResult(mean, norm, sum(batch.tokens for batch in batches), 0.0, lr, skipped, factor)
        result.seconds = seconds + time.perf_counter() - began
        self.step, self.tokens = number, self.tokens + result.tokens
        yield result

    def _update(self, lr: float) -> tuple[float, bool]:
        """Clip and step. A gradient that is not finite would ruin the adapter for good, so it is left out."""
        limit = self.config.clip if self.config.clip is not None else float("inf")
        self.loss_scale.unscale(self.named.values())
        norm = float(torch.nn.utils.clip_grad_norm_(self.named.values(), limit))
        finite = np.isfinite(norm)
        if finite:
            self.optimizer.lr, self.is_updating = lr, True
            self.optimizer.step()
            self.is_updating = False
            self.loss_scale.keep()
        self.optimizer.zero_grad()
        return norm, not finite

    @contextmanager
    def _training_mode(self, micro: int) -> Iterator[None]:
        """The adapter on, with its dropout masks for this micro-batch; off again afterwards, for whoever answers."""
        model, adapter = self.lm.model, self.adapter
        model.checkpoint_activations = self.config.checkpoint_activations
        if adapter is not None:
            adapter.set_dropout_seed(counter_seed(self.config.seed, 2, self.step + 1, micro))
        try:
            with self.lm.using(adapter, self.config.compute):
                yield
        finally:
            model.checkpoint_activations = False
            if adapter is not None:
                adapter.set_dropout_seed(None)
