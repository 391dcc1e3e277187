"""Rotary position tables."""

import math

import torch
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig, RopeScaling


def inverse_frequencies(config: DecoderConfig) -> Tensor:
    """Radians a position turns each pair by, float32 [head_dim / 2] (arXiv:2104.09864, section 3.4.3)."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponent)
    return _scaled(frequencies, config.rope_scaling) if config.rope_scaling else frequencies


def _scaled(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    if scaling.kind == "linear":
        return frequencies / scaling.factor
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


class RotaryTable(nn.Module):
    """positions [batch or 1, time] → (cos, sin), each float32 [batch or 1, time, 1, head_dim / 2]."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.frequencies: Tensor | None = None  # made at first use: a model may be built on the meta device

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        if self.frequencies is None or self.frequencies.device != positions.device:
            self.frequencies = inverse_frequencies(self.config).to(positions.device)
        angle = (positions[..., None].float() * self.frequencies)[:, :, None]
        return angle.cos(), angle.sin()
