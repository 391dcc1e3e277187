"""A model's weights while they are read: dense ones in their own memory, others dense until they can be quantised."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.models.fp16_range import check_range
from loralab_core.models.mlp import ExpertLinear, Router
from loralab_core.models.parts import Linear, Matrix
from loralab_core.quant import quantize
from loralab_core.quant.quantize import Method
from loralab_core.quant.tensor import Kind, QuantTensor

FINE: Kind = "int8"  # of embedding and head: nearly lossless
VERSION = 1  # of what a recipe makes of the same weights


@dataclass(frozen=True)
class Recipe:
    """How a model is quantised. Routers, norms, biases and learned positions stay dense."""

    kind: Kind
    group: int = 64
    method: Method = "nearest"

    @classmethod
    def of(cls, base: str) -> "Recipe":
        """Of "nf4", "int4-fitted" and the like."""
        kind, _, method = base.partition("-")
        return cls(kind, method=method or "nearest")  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """The same where the same weights become the same bytes."""
        return f"{self.kind}-{self.group}-{self.method}-{VERSION}"

    def kind_of(self, path: str, module: nn.Module) -> Kind | None:
        """What becomes of the weight of our module `path`; None where it stays dense."""
        if path in ("embedding", "head"):
            return FINE
        return self.kind if isinstance(module, Linear | ExpertLinear) and not isinstance(module, Router) else None

    def takes(self, kind: Kind, matrix: QuantTensor) -> bool:
        """Whether a matrix that is quantised already is one such as would be made here, of any method."""
        return matrix.kind == kind and (kind == "int8" or (matrix.group == self.group and matrix.zeros is None))

    def hold(
        self, module: nn.Module, kind: Kind, device: torch.device, first: int, dense: Tensor | QuantTensor
    ) -> None:
        """Quantise `dense` [out, in], or experts [count, out, in] of which `first` is the first, into the module."""
        assert isinstance(module, Matrix)
        if isinstance(dense, QuantTensor):
            return module.hold(dense.to(device), first)
        for number, matrix in enumerate(dense if dense.dim() == 3 else dense[None], first):
            module.hold(quantize(matrix.to(device), kind, self.group, method=self.method), number)


class HasNumbers(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    def aminmax(self) -> tuple[Tensor, Tensor]: ...


Place = TypeVar("Place", bound=HasNumbers)
Places = Callable[[DecoderConfig, str, Tensor, int], dict[str, Place]]
"""Of our parameter of that path, or its experts from a number on: name in the files → where in it that belongs."""


class Scratch:
    """Memory for dense weights, used again: what is freed between smaller pieces is not given back to the system."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        size = shape.numel() * dtype.itemsize
        held = self._free.pop() if self._free else torch.empty(0, dtype=torch.uint8)
        if held.nbytes < size:
            del held
            held = torch.empty(size, dtype=torch.uint8)
        return held[:size].view(dtype).view(shape)

    def give_back(self, taken: Tensor) -> None:
        self._free.append(torch.empty(0, dtype=torch.uint8).set_(taken.untyped_storage()))


class Weight(Generic[Place]):
    """One of the model's weights. `complete` is given the dense one when all that belongs into it has been read."""

    def __init__(
        self,
        places: Callable[[Tensor], dict[str, Place]],
        dense: Tensor,
        complete: Callable[[Tensor | QuantTensor], None] | None = None,
        scratch: Scratch | None = None,
        takes: Callable[[QuantTensor], bool] = lambda matrix: False,
    ):
        """`dense`: the memory, or where `complete` is given only its shape."""
        self._places, self._complete, self._scratch = places, complete, scratch or Scratch()
        self._takes = takes
        self._shape, self._dense = dense.shape, None if complete else dense
        self._shapes = {name: tuple(place.shape) for name, place in places(dense).items()}
        self._missing = set(self._shapes)
        self._found: dict[str, Place] = {}  # places in the dense memory: thousands, where experts are stored singly

    def parts(self) -> dict[str, "Named[Place]"]:
        return {name: Named(self, name, shape) for name, shape in self._shapes.items()}

    def place(self, name: str, dtype: torch.dtype) -> Place:
        """`dtype`: of the dense memory, where that is still to be taken."""
        if self._dense is None:
            self._dense = self._scratch.take(self._shape, dtype)
        if not self._found:
            self._found = self._places(self._dense)
        return self._found[name]

    def take(self, matrix: QuantTensor) -> bool:
        """False where it is a part of this weight only, or is wanted in another form: then it is to be put dense."""
        if self._complete is None or len(self._shapes) > 1 or not self._takes(matrix):
            return False
        self._missing.clear()
        self._complete(matrix)
        return True

    def has_been_read(self, name: str) -> None:
        self._missing.discard(name)
        if not self._complete and self._dense is not None and self._dense.dtype == torch.float16:
            check_range(*self._found[name].aminmax())
        if self._complete and not self._missing and self._dense is not None:
            dense, self._dense, self._found = self._dense, None, {}
            self._complete(dense)
            self._scratch.give_back(dense)


@dataclass(frozen=True)
class Named(Generic[Place]):
    """One tensor of a file, and the weight that it is or is a part of."""

    weight: Weight[Place]
    name: str
    shape: tuple[int, ...]

    @contextmanager
    def opened(self, dtype: torch.dtype, where: str) -> Iterator[Place]:
        """Where it is to be put. `dtype`: of a weight that is to be quantised, until it is.

        Raises BadInput that begins with `where` for values that cannot be quantised, or are beyond fp16.
        """
        yield self.weight.place(self.name, dtype)
        try:
            self.weight.has_been_read(self.name)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None


def weights(model: Decoder, places: Places[Place], recipe: Recipe | None, one_by_one: bool) -> dict[str, Named[Place]]:
    """By the names of a file's tensors. `one_by_one`: whether files hold experts singly."""
    found: dict[str, Named[Place]] = {}
    scratch = Scratch()
    for path, parameter in model.named_parameters(remove_duplicate=True):
        owner, _, leaf = path.rpartition(".")
        module, dense = model.get_submodule(owner), parameter.data
        if recipe is None or leaf != "weight" or not (kind := recipe.kind_of(owner, module)):
            found |= Weight(partial(_places, places, model.config, path, 0), dense).parts()
            continue
        for first, part in enumerate(torch.split(dense, 1) if one_by_one and dense.dim() == 3 else [dense]):
            hold = partial(recipe.hold, module, kind, model.device, first)
            takes = partial(recipe.takes, kind)
            found |= Weight(partial(_places, places, model.config, path, first), part, hold, scratch, takes).parts()
    return found


def _places(places: Places[Place], config: DecoderConfig, path: str, first: int, weight: Tensor) -> dict[str, Place]:
    return places(config, path, weight, first)
