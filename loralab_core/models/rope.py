"""Rotary position tables."""

import math

import torch
from torch import Tensor

from loralab_core.architecture.config import Rope, RopeScaling

Turn = tuple[Tensor, Tensor]  # cosine and sine, each float32 [batch or 1, time, 1, size / 2]


def inverse_frequencies(rope: Rope, is_long: bool = False) -> Tensor:
    """Radians a position turns each pair by, float32 [size / 2] (arXiv:2104.09864, section 3.4.3).

    `is_long` chooses between longrope's two lists.
    """
    exponent = torch.arange(0, rope.size, 2, dtype=torch.int64).float() / rope.size
    frequencies = 1.0 / (rope.theta**exponent)
    return _scaled(frequencies, rope, rope.scaling, is_long) if rope.scaling else frequencies


def _scaled(frequencies: Tensor, rope: Rope, scaling: RopeScaling, is_long: bool) -> Tensor:
    if scaling.kind == "yarn":
        return _yarn(rope, scaling, frequencies)
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    if scaling.kind == "longrope":
        return frequencies / torch.tensor(scaling.long_factors if is_long else scaling.short_factors)
    # Llama 3.1: waves longer than the low bound are stretched, shorter than the high bound kept, blended between
    low = scaling.original_context / scaling.low_freq_factor
    high = scaling.original_context / scaling.high_freq_factor
    wavelength = 2 * math.pi / frequencies
    kept = (scaling.original_context / wavelength - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    blended = (1 - kept) * frequencies / scaling.factor + kept * frequencies
    stretched = torch.where(wavelength > low, frequencies / scaling.factor, blended)
    return torch.where(wavelength < high, frequencies, stretched)


def _yarn(rope: Rope, scaling: RopeScaling, frequencies: Tensor) -> Tensor:
    """Fast pairs as they are, slow ones divided, a ramp between (arXiv:2309.00071, section 3.2)."""

    def pair(turns: float) -> float:
        """Which one turns so often within the original context."""
        return rope.size * math.log(scaling.original_context / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = pair(scaling.beta_fast), pair(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.size - 1)
    width = high - low or 0.001
    kept = 1 - ((torch.arange(rope.size // 2, dtype=torch.float32) - low) / width).clamp(0, 1)
    return frequencies / scaling.factor * (1 - kept) + frequencies * kept


class RotaryTable:
    """positions [batch or 1, time] → the turn of each position."""

    def __init__(self, rope: Rope):
        self.rope = rope
        self._frequencies: dict[tuple[torch.device, bool], Tensor] = {}

    def __call__(self, positions: Tensor) -> Turn:
        angle = (positions[..., None].float() * self._for(positions))[:, :, None]
        magnitude = self.rope.scaling.magnitude if self.rope.scaling else 1.0
        return angle.cos() * magnitude, angle.sin() * magnitude

    def _for(self, positions: Tensor) -> Tensor:
        """[size / 2], or [batch, 1, size / 2] of longrope: each row by its own length, whatever stands beside it."""
        scaling, device = self.rope.scaling, positions.device
        if scaling is None or scaling.kind != "longrope":
            return self._made(device, False)
        is_long = positions.amax(-1) >= scaling.original_context
        return torch.where(is_long[:, None, None], self._made(device, True), self._made(device, False))

    def _made(self, device: torch.device, is_long: bool) -> Tensor:
        """At first use: a model may be built on the meta device."""
        if (device, is_long) not in self._frequencies:
            self._frequencies[device, is_long] = inverse_frequencies(self.rope, is_long).to(device)
        return self._frequencies[device, is_long]
