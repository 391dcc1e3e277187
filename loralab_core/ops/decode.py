"""One token through a whole quantised decoder, in one call: see csrc/cpu/decode.h.

There is no reference here: it is the decoder itself, operator by operator.
"""

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.native.library import native

LIBRARY.define("decode_prepare(Tensor[] tensors, int[] numbers, float[] scalars) -> int")  # type: ignore[no-untyped-call]
LIBRARY.define("decode(Tensor x, Tensor cos, Tensor sin, int number, int past) -> Tensor")  # type: ignore[no-untyped-call]

ACTIVATIONS = ("silu", "gelu_tanh", "relu")  # as csrc/cpu/kernels.h numbers them
HIGHEST_RANK = 4096


def kernels_decode() -> bool:
    """Whether this computer's kernels know how."""
    active = native()
    return active.library is not None and bool(ctypes.CDLL(str(active.library)).loralab_decodes())


class PreparedDecoder:
    """The tensors of a decoder as the kernels keep them; they are let go with this object."""

    def __init__(self, tensors: Sequence[Tensor], numbers: Sequence[int], scalars: Sequence[float]):
        """In the order in which csrc/binding/cpu/decode.cpp reads them. Raises RuntimeError for what does not fit."""
        self._number: int = torch.ops.loralab.decode_prepare(list(tensors), list(numbers), list(scalars))
        library = native().library
        assert library is not None  # the operator would not be there
        weakref.finalize(self, _release, library, self._number)

    def logits(self, x: Tensor, cos: Tensor, sin: Tensor, past: int) -> Tensor:
        """Of the token with embedding x [hidden] behind `past` remembered ones: float32 [vocabulary].

        Its keys and values are written into the cache. cos, sin [rotary / 2]; all float32.
        """
        y: Tensor = torch.ops.loralab.decode(x, cos, sin, self._number, past)
        return y[0]


def _release(library: Path, number: int) -> None:
    ctypes.CDLL(str(library)).loralab_release(ctypes.c_int64(number))
