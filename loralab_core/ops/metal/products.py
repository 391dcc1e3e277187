"""Products with a quantised matrix: which kernel, and how it is launched (csrc/metal/rows.metal and tiles.metal).

rows: x·Wᵀ for up to eight rows of x, W read once. tiles: any rows, both ways. gemm: W made dense a slab at a time, by
our kernel, for torch's own product. Which is the fastest where, `make mac` measures; until somebody has, few rows go
by rows and all others by tiles.
"""

import torch
from torch import Tensor

from loralab_core.ops.metal.dequantize import Packed, dequantize_to, weight_arguments
from loralab_core.ops.metal.launch import NAMES, Argument, Kernels, cut, packed

PATHS = ("rows", "tiles", "gemm")
MOST = 8  # rows of x that go by rows
ROWS_OF_W = {1: 4, 4: 4, 8: 2}  # of a simdgroup in rows.metal, by the rows of x
SIMDGROUPS, SIMD = 2, 32
COLUMNS, THREADS = 64, 128  # of a tile
HEIGHTS = (32, 64)  # rows of a tile
SLAB = 1 << 24  # values of a weight that are dense at a time: enough for torch's product to fill the GPU


def choose(rows: int, transposed: bool) -> str:
    return "rows" if rows <= MOST and not transposed else "tiles"


def quant_matmul(
    kernels: Kernels,
    x: Tensor,
    codes: Tensor,
    scales: Tensor,
    steps: Tensor | None,
    codebook: Tensor | None,
    zeros: Tensor | None,
    width: int,
    group: int,
    transposed: bool,
    left: Tensor | None,
    right: Tensor | None,
    bias: Tensor | None,
    path: str,
) -> Tensor:
    """loralab::quant_matmul. Raises ValueError for what does not fit together."""
    inner, columns = (len(codes), width) if transposed else (width, len(codes))
    _check(x, inner, columns, left, right, bias)
    weight = weight_arguments(codes, scales, steps, codebook, zeros, width, group)
    path = path or choose(len(x), transposed)
    if path == "gemm":
        return _gemm(kernels, x, weight, transposed, left, right, bias)
    if path not in PATHS or (path == "rows" and transposed):
        raise ValueError(f"path must be {', '.join(PATHS)} (rows only for x·Wᵀ), not {path!r}")
    x, y = packed(x), x.new_empty(len(x), columns)
    extra = 0 if left is None else left.shape[1]
    given = [x if each is None or not extra else packed(each.float()) for each in (left, right)]
    given.append(x if bias is None else packed(bias.float()))
    arguments = [*weight.arguments, x, *given, [len(x), extra, int(bias is not None)], y]
    (_by_rows if path == "rows" else _by_tiles)(kernels, weight.bits, arguments, y, transposed)
    return y


def _check(x: Tensor, inner: int, columns: int, left: Tensor | None, right: Tensor | None, bias: Tensor | None) -> None:
    if x.dtype not in NAMES or x.dim() != 2 or x.shape[1] != inner:
        raise ValueError(f"x must be [rows, {inner}] in float32, float16 or bfloat16, not {x.dtype} {list(x.shape)}")
    if (left is None) != (right is None):
        raise ValueError("left and right come together or not at all")
    if left is not None and right is not None:
        extra = left.shape[-1]
        if left.shape != (len(x), extra) or right.shape != (columns, extra):
            shapes = f"{list(left.shape)} and {list(right.shape)}"
            raise ValueError(f"left and right must be [{len(x)}, r] and [{columns}, r], not {shapes}")
    if bias is not None and bias.shape != (columns,):
        raise ValueError(f"bias must be [{columns}], not {list(bias.shape)}")


def _by_rows(kernels: Kernels, bits: str, arguments: list[Argument], y: Tensor, _: bool) -> None:
    rows, columns = y.shape
    size = next((size for size in ROWS_OF_W if rows <= size), MOST)
    groups = (cut(columns, SIMDGROUPS * ROWS_OF_W[size]), cut(rows, size))
    name = f"rows_{bits}_{NAMES[y.dtype]}_{size}"
    kernels.run("rows", name, *arguments, groups=groups, size=(SIMDGROUPS * SIMD, 1))


def _by_tiles(kernels: Kernels, bits: str, arguments: list[Argument], y: Tensor, transposed: bool) -> None:
    rows, columns = y.shape
    height = next((height for height in HEIGHTS if rows <= height), HEIGHTS[-1])
    name = f"{'transposed' if transposed else 'forward'}_{bits}_{NAMES[y.dtype]}_{height}"
    groups = (cut(columns, COLUMNS), cut(rows, height))
    kernels.run("tiles", name, *arguments, groups=groups, size=(THREADS, 1))


def _gemm(
    kernels: Kernels,
    x: Tensor,
    weight: Packed,
    transposed: bool,
    left: Tensor | None,
    right: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Slabs are rows of W: columns of y, or, where transposed, parts of the sum, which are then kept in float32."""
    out, width = weight.shape
    y = torch.zeros(len(x), width if transposed else out, device=x.device)
    if left is not None and right is not None:
        y += left.float() @ right.float().t()
    if bias is not None:
        y += bias
    slab = max(1, SLAB // width)
    for first in range(0, out, slab):
        last = min(first + slab, out)
        dense = x.new_empty(last - first, width)
        dequantize_to(kernels, dense, weight, first, last)
        if transposed:
            y += x[:, first:last] @ dense
        else:
            y[:, first:last] += x @ dense.t()
    return y.to(x.dtype)
