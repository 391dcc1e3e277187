"""A stand-in for the graphs of a GPU, on a processor: operators are noted down and run again on the same tensors.

As there: numbers and decisions are those of the recording, results lie where they lay, work that is recorded is not
done, and asking the device for a value is an error.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from loralab_core.ops.graphs import CannotRecord, Replay

ASKING = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "unique")  # the host would wait for these


class _Notes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.made: set[int] = set()  # memory that the recording itself has taken
        self.before: dict[int, tuple[Tensor, Tensor]] = {}  # what it has written to, and what stood there

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(func.__name__.startswith(name) for name in ASKING):
            raise RuntimeError(f"{func.__name__}: not permitted while recording")
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if func._schema.is_mutable:
            for tensor in given:
                place = tensor.untyped_storage().data_ptr()
                if place not in self.made and place not in self.before:
                    whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
                    self.before[place] = (whole, whole.clone())
        out = func(*args, **kwargs)
        places = {each.untyped_storage().data_ptr() for each in given}
        new = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        self.made |= {each.untyped_storage().data_ptr() for each in new} - places
        self.calls.append((func, args, kwargs, new))
        return out

    def again(self) -> None:
        for func, args, kwargs, results in self.calls:
            made = [each for each in tree_leaves(func(*args, **kwargs)) if isinstance(each, Tensor)]
            for old, new in zip(results, made, strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class RecorderOnCpu:
    """Counts what is recorded and how often it is replayed."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, work: Callable[[], object]) -> Replay:
        notes = _Notes()
        try:
            with notes:
                work()
        except RuntimeError as error:
            raise CannotRecord(str(error)) from None
        finally:
            for whole, before in notes.before.values():
                whole.copy_(before)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with torch.no_grad():
                notes.again()

        return replay
