"""A step of AdamW with moments in 8 bits, by csrc/metal/adam8bit.metal."""

from torch import Tensor

from loralab_core.ops.blockwise8 import BLOCK
from loralab_core.ops.metal.launch import NAMES, Kernels, cut
from loralab_core.ops.random_bits import MASK


def adam8bit(
    kernels: Kernels,
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    mean_scales: Tensor,
    square_scales: Tensor,
    numbers: list[float],
    seed: int,
    mean_map: Tensor,
    square_map: Tensor,
) -> None:
    """loralab::adam8bit_. All but the gradient are changed in place, so they must be contiguous. Raises ValueError."""
    tensors = [parameter, mean, square, mean_scales, square_scales]
    if not all(each.is_contiguous() for each in tensors):
        raise ValueError("a parameter and its moments must be contiguous")
    if NAMES.get(parameter.dtype) not in ("float", "bfloat") or gradient.dtype not in NAMES:
        raise ValueError(f"no kernel moves a parameter of {parameter.dtype} by a gradient of {gradient.dtype}")
    counts = [parameter.numel(), _signed(seed & MASK), _signed(seed >> 32)]
    name = f"adam8bit_{NAMES[parameter.dtype]}_{NAMES[gradient.dtype]}"
    given = [parameter, gradient.contiguous(), mean, square, mean_scales, square_scales, mean_map, square_map]
    groups = (cut(parameter.numel(), BLOCK),)
    kernels.run("adam8bit", name, *given, [float(each) for each in numbers], counts, groups=groups, size=(BLOCK,))


def _signed(word: int) -> int:
    """The same 32 bits as an int32."""
    return word - (1 << 32) if word >> 31 else word
