"""Calling a kernel, and what is relied on of torch.mps.compile_shader (torch 2.10; torch/csrc/mps/Module.cpp).

* `compile_shader(source)` compiles at once and raises SyntaxError with Metal's message; a kernel is an attribute of
  what it returns. Math is "safe" unless PYTORCH_MPS_FAST_MATH is set; products and sums are contracted even so, which
  only `#pragma METAL fp contract(off)` in the source prevents.
* Positional arguments become buffers 0, 1, 2 … A tensor: its memory from its storage offset on, strides unseen, so it
  must be contiguous unless a kernel is told its strides. A list of ints: 64 bits each, or 32 where `arg_casts` says
  "int32" for its position; a list of floats: 32 bits each. Lists may not be empty, and None is not taken: an optional
  tensor that is absent is replaced by any other. At most 31 buffers.
* `threads` counts threads, not groups, and Metal cuts the last group short: here it is always a multiple of
  `group_size`, since a group that lacks threads would lack lanes of a sum. `group_size` may not exceed what the
  kernel's registers allow (1,024 at most); more is a ValueError. A simdgroup has 32 lanes on every Apple GPU.
* A launch is encoded on torch's own stream, in order with torch's operators; nothing waits for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.metal.source import source

NAMES = {torch.float32: "float", torch.float16: "half", torch.bfloat16: "bfloat"}
ALIGNMENT = 16  # bytes: what the widest load of a kernel needs
Argument = Tensor | Sequence[int] | Sequence[float]


class Kernels:
    """Every kernel by its file and name, each file compiled when it is first asked for."""

    def __init__(self, compile_shader: Callable[[str], Any]) -> None:
        self._compile = compile_shader
        self._libraries: dict[str, Any] = {}
        self._kernels: dict[str, Any] = {}

    def run(self, file: str, name: str, *arguments: Argument, groups: tuple[int, ...], size: tuple[int, ...]) -> None:
        """`groups` of `size` threads each, in as many dimensions; nothing where there is no group."""
        if not all(groups):
            return
        casts = {i: "int32" for i, each in enumerate(arguments) if isinstance(each, list) and isinstance(each[0], int)}
        threads = [count * own for count, own in zip(groups, size, strict=True)]
        self._kernel(file, name)(*arguments, threads=threads, group_size=list(size), arg_casts=casts)

    def _kernel(self, file: str, name: str) -> Any:
        kernel = self._kernels.get(name)
        if kernel is None:
            if file not in self._libraries:
                self._libraries[file] = self._compile(source(file))
            kernel = self._kernels[name] = getattr(self._libraries[file], name)
        return kernel


def cut(count: int, size: int) -> int:
    """How many pieces of `size` cover `count`."""
    return -(-count // size)


def packed(tensor: Tensor) -> Tensor:
    """The same numbers, contiguous and where a kernel's vectors may begin: itself where it is so already."""
    if not tensor.is_contiguous():
        return tensor.contiguous()
    return tensor if tensor.storage_offset() * tensor.itemsize % ALIGNMENT == 0 else tensor.clone()
