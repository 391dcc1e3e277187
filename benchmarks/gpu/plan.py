"""The parts of `make gpu`, in their order: what each runs, and how long it may take."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch

from benchmarks.gpu import box, build, correct, decode, fused, products, training
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.ops.native.gpu import PATHS

TRAINED = ("qwen3-0.6b", "tinyllama-1.1b", "qwen3-1.7b", "qwen3-8b", "qwen3-4b")  # what is judged comes first
DECODED = ("qwen3-8b", "qwen3-0.6b")


class Planned(NamedTuple):
    work: Callable[[torch.device, Sizes], Iterator[Row]]
    budget_s: float  # at most; as a rule it takes far less


PLAN: dict[str, Planned] = {  # `build` compiles what all behind it need
    "box": Planned(box.measure, 40),
    "build": Planned(build.measure, 180),
    **{f"test-{path}": Planned(partial(correct.measure, path), 45) for path in PATHS},
    "test-operators": Planned(correct.operators, 45),
    "test-fused": Planned(fused.measure, 45),
    "dequantize": Planned(products.dequantisation, 30),
    "matvec": Planned(products.matvec, 30),
    "w4a16": Planned(products.w4a16, 40),
    "w4a8": Planned(products.w4a8, 40),
    **{f"train-{name}": Planned(partial(training.measure, name), 100) for name in TRAINED},
    **{f"decode-{name}": Planned(partial(decode.measure, name), 60) for name in DECODED},
}


def chosen(names: Iterable[str]) -> list[str]:
    """Parts called so, or whose names begin so ("train" is every "train-…"); all where none is named. ValueError."""
    wanted = list(names)
    for name in wanted:
        if not any(_is_meant(part, name) for part in PLAN):
            raise ValueError(f"no part is called {name!r}; there are {', '.join(PLAN)}")
    return [part for part in PLAN if not wanted or any(_is_meant(part, name) for name in wanted)]


def _is_meant(part: str, name: str) -> bool:
    return part == name or part.startswith(f"{name}-")
