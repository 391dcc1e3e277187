"""How fast the Metal kernels are: shares of this Mac's own copy bandwidth, dense product and PyTorch's operators."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import cycle
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.parts import Part, Row, attempt
from loralab_core.ops import adam8bit as adam
from loralab_core.ops import gated, rms_norm, rotary
from loralab_core.ops.blockwise8 import dynamic_map
from loralab_core.ops.metal import elementwise, states
from loralab_core.ops.metal.dequantize import dequantize_to, weight_arguments
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.products import quant_matmul
from loralab_core.ops.quant_matmul import parts as parts_of
from loralab_core.quant import QuantTensor, quantize

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Sizes:
    copied: int  # bytes
    wide: tuple[int, int]  # a weight for few rows, [out, in]
    square: int  # of a weight for many rows
    many: int  # rows of x
    tokens: tuple[int, int]  # rows and width of norms and gates
    vocabulary: int
    parameters: int  # of a step of AdamW
    cold: int  # bytes of weights that take turns: more than the cache before the memory


FULL = Sizes(256 << 20, (11008, 4096), 4096, 4096, (4096, 4096), 128256, 1 << 24, 192 << 20)


class Timer:
    """Seconds of one call: the best of some spells, each long enough for the clock, the GPU's work waited for."""

    def __init__(self, synchronize: Callable[[], None], spell_s: float = 0.1, spells: int = 5) -> None:
        self._synchronize, self._spell_s, self._spells = synchronize, spell_s, spells

    def __call__(self, work: Callable[[], Any]) -> float:
        work()
        once = self._spell(work, 1)
        calls = max(1, int(self._spell_s / max(once, 1e-9)))
        return min(self._spell(work, calls) / calls for _ in range(self._spells))

    def _spell(self, work: Callable[[], Any], calls: int) -> float:
        self._synchronize()
        began = time.perf_counter()
        for _ in range(calls):
            work()
        self._synchronize()
        return time.perf_counter() - began


def parts(kernels: Kernels, device: torch.device, timer: Timer, sizes: Sizes) -> list[Part]:
    bench = Bench(kernels, device, timer, sizes)
    return [
        Part("the Mac itself", bench.machine),
        Part("dequantise", bench.dense),
        Part("few rows", bench.few_rows),
        Part("many rows", bench.many_rows),
        Part("elementwise", bench.elementwise),
        Part("8-bit AdamW", bench.states),
    ]


class Bench:
    def __init__(self, kernels: Kernels, device: torch.device, timer: Timer, sizes: Sizes) -> None:
        self.kernels, self.device, self.timer, self.sizes = kernels, device, timer, sizes
        self.bandwidth = cache(self._bandwidth)  # bytes a second, read and written

    def _bandwidth(self) -> float:
        one = torch.zeros(self.sizes.copied // 4, device=self.device)
        other = torch.empty_like(one)
        return 2 * one.nbytes / self.timer(lambda: other.copy_(one))

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape).to(self.device, dtype)

    def weight(self, *shape: int) -> QuantTensor:
        return quantize(torch.randn(shape), "nf4", 64).to(self.device)

    def of_bandwidth(self, nbytes: int, work: Callable[[], Any]) -> Row:
        """Bytes that have to be moved, over what a copy moves in that time."""
        rate = nbytes / self.timer(work)
        return {"value": rate / 1e9, "unit": "GB/s", "share": rate / self.bandwidth(), "of": "the copy"}

    def machine(self) -> Iterator[Row]:
        yield attempt("copy", lambda: {"value": self.bandwidth() / 1e9, "unit": "GB/s"})
        for dtype in (torch.float32, *HALVES):
            yield attempt(f"product {self.sizes.square}³ {dtype}", partial(self._dense_rate, dtype))

    def _dense_rate(self, dtype: torch.dtype) -> Row:
        n = self.sizes.square
        a, b = self.normal(n, n, dtype=dtype), self.normal(n, n, dtype=dtype)
        return {"value": 2 * n**3 / self.timer(lambda: a @ b.t()) / 1e12, "unit": "TFLOP/s"}

    def dense(self) -> Iterator[Row]:
        packed = self.weight(*self.sizes.wide)
        given = weight_arguments(*parts_of(packed))
        for dtype in HALVES:
            y = torch.empty(packed.shape, dtype=dtype, device=self.device)
            work = partial(dequantize_to, self.kernels, y, given, 0, len(y))
            yield attempt(f"NF4 to {dtype}", partial(self.of_bandwidth, packed.nbytes + y.nbytes, work))

    def few_rows(self) -> Iterator[Row]:
        """Weights take turns, so that each lies in memory and not in a cache, as in a model."""
        packed = self.weight(*self.sizes.wide)
        weights = [replace(packed, codes=packed.codes.clone()) for _ in range(max(2, self.sizes.cold // packed.nbytes))]
        for dtype in HALVES:
            for rows in (1, 2, 4, 8):
                x, turns = self.normal(rows, packed.shape[1], dtype=dtype), cycle(weights)
                work = partial(self._one_product, x, turns, "rows")
                yield attempt(f"NF4 × {rows} rows {dtype}", partial(self.of_bandwidth, packed.nbytes, work))

    def _one_product(self, x: Tensor, turns: "cycle[QuantTensor]", path: str) -> Tensor:
        return quant_matmul(self.kernels, x, *parts_of(next(turns)), False, None, None, None, path)

    def many_rows(self) -> Iterator[Row]:
        n, rows = self.sizes.square, self.sizes.many
        packed = parts_of(self.weight(n, n))
        for dtype in HALVES:
            x, dense = self.normal(rows, n, dtype=dtype), self.normal(n, n, dtype=dtype)
            for way, transposed, other in (("forward", False, dense.t()), ("dX", True, dense)):
                peer = self.timer(partial(torch.mm, x, other))
                for path in ("tiles", "gemm"):
                    given = (self.kernels, x, *packed, transposed, None, None, None, path)
                    work = partial(quant_matmul, *given)
                    yield attempt(f"{path} {way} {dtype}", partial(self._against, peer, work, "torch's dense product"))

    def _against(self, peer: float, work: Callable[[], Any], of: str) -> Row:
        taken = self.timer(work)
        return {"value": taken * 1e6, "unit": "µs", "share": peer / taken, "of": of}

    def elementwise(self) -> Iterator[Row]:
        for dtype in HALVES:
            for name, (ours, theirs) in self._pairs(dtype).items():
                yield attempt(f"{name} {dtype}", partial(self._raced, ours, theirs))

    def _raced(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Row:
        return self._against(self.timer(theirs), ours, "PyTorch's speed")

    def _pairs(self, dtype: torch.dtype) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
        rows, width = self.sizes.tokens
        x, gain = self.normal(rows, width, dtype=dtype), self.normal(width, dtype=dtype)
        both = self.normal(rows, 2 * width, dtype=dtype)
        gate, up = both.chunk(2, -1)
        heads = x.view(1, rows, -1, 64 if width % 64 == 0 else width)
        angle = self.normal(1, rows, 1, heads.shape[-1] // 2)
        cos, sin = angle.cos(), angle.sin()
        logits = self.normal(max(1, rows // 16), self.sizes.vocabulary)
        labels = torch.zeros(len(logits), dtype=torch.long, device=self.device)
        k = self.kernels
        return {
            "RMSNorm": (
                lambda: elementwise.rms_norm(k, x, gain, 1e-6, 0.0),
                lambda: rms_norm(x, gain, 1e-6),
            ),
            "rotary": (lambda: elementwise.rotary(k, heads, cos, sin, False), lambda: rotary(heads, cos, sin)),
            "gate": (lambda: elementwise.gated(k, gate, up, "silu"), lambda: gated(gate, up, "silu")),
            "loss (float32)": (
                lambda: elementwise.softmax_loss(k, logits, labels, 1.0),
                lambda: F.cross_entropy(logits, labels, reduction="sum"),
            ),
        }

    def states(self) -> Iterator[Row]:
        count, step = self.sizes.parameters, adam.adam_step(1e-4, (0.9, 0.999), 1e-8, 0.0, 1, 7)
        maps = dynamic_map(True).to(self.device), dynamic_map(False).to(self.device)
        for dtype in (torch.float32, torch.bfloat16):
            parameter, gradient = self.normal(count, dtype=dtype), self.normal(count, dtype=dtype)
            moments = [torch.zeros(count, dtype=torch.uint8, device=self.device) for _ in range(2)]
            scales = [torch.zeros(-(-count // 256), device=self.device) for _ in range(2)]
            given = (parameter, gradient, *moments, *scales, list(step[:8]), step.seed, *maps)
            nbytes = 2 * parameter.nbytes + gradient.nbytes + 4 * count
            work = partial(states.adam8bit, self.kernels, *given)
            yield attempt(f"one step {dtype}", partial(self.of_bandwidth, nbytes, work))
