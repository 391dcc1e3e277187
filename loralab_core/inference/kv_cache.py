"""The keys and values of what was read and said so far, in buffers that double when they are full.

Buffers begin as zeros: who looks at all of them gives what is not remembered the weight 0, and 0 · NaN is NaN.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from loralab_core.architecture.config import DecoderConfig

STEP = 256  # tokens: of the first capacity, and what others are multiples of, which aligns masks over all of it


class KVCache:
    """One sequence's (or batch's) memory. `length` tokens are remembered; it grows when the last layer has appended."""

    def __init__(self, config: DecoderConfig, dtype: torch.dtype, device: torch.device, batch: int = 1):
        self.length = self.capacity = 0
        self._layers = config.layers
        self._shape = (batch, config.kv_heads, config.head_dim)
        self._how: dict[str, Any] = {"dtype": dtype, "device": device}
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """key, value [batch, time, kv_heads, D] → views [batch, length + time, kv_heads, D]."""
        end = self.length + key.shape[1]
        self.reserve(end)
        for buffer, new in ((self._keys[layer], key), (self._values[layer], value)):
            buffer[:, self.length : end] = new
        if layer == self._layers - 1:
            self.length = end
        return self._keys[layer][:, :end], self._values[layer][:, :end]

    def reserve(self, tokens: int) -> None:
        """Room for so many in all; buffers that are too small are replaced."""
        if tokens > self.capacity:
            self._grow(tokens)

    def buffers(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values [batch, capacity, kv_heads, D], for one who writes behind `length`, then says `advance`."""
        return self._keys[layer], self._values[layer]

    def advance(self) -> None:
        """One token more is remembered in every layer."""
        self.length += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Forget the sequences that are not in `rows`; those that stay are counted anew, in this order."""
        self._shape = (len(rows), *self._shape[1:])
        chosen = torch.tensor(rows, dtype=torch.long, device=self._how["device"])
        for buffers in (self._keys, self._values):
            for layer, buffer in enumerate(buffers):  # one after the other: the old ones go as the new ones come
                buffers[layer] = buffer[chosen]

    def _grow(self, wanted: int) -> None:
        """Behind a prompt there is room for some of its answer, so that the buffers do not move at its first token."""
        steps = -(-(wanted + STEP // 2) // STEP)
        self.capacity = max(2 * self.capacity, steps * STEP)
        self._keys = self._moved(self._keys)
        self._values = self._moved(self._values)

    def _moved(self, old: list[Tensor]) -> list[Tensor]:
        batch, heads, width = self._shape
        new = [torch.zeros(batch, self.capacity, heads, width, **self._how) for _ in range(self._layers)]
        for before, after in zip(old, new, strict=False):
            after[:, : self.length] = before[:, : self.length]
        return new
