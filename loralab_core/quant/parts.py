"""The tensors that lie beside a quantised weight: found, and of the sizes that belong to it."""

from collections.abc import Sequence

from torch import Tensor

from loralab_core.errors import BadInput

Parts = dict[str, Tensor]  # by what follows the module's name, such as ".weight.absmax"


def need(parts: Parts, suffixes: Sequence[str], weight: Tensor, where: str) -> list[Tensor]:
    """Those parts. Raises BadInput where one is not there; `where` is the file and the weight's name."""
    if missing := [suffix for suffix in suffixes if suffix not in parts]:
        raise BadInput(
            f"{where} is stored as {weight.dtype} without the {' and '.join(missing)} that config.json makes one "
            f"expect beside it; download the model again"
        )
    return [parts[suffix] for suffix in suffixes]


def fits(found: Tensor, shape: Sequence[int], what: str, where: str) -> Tensor:
    """`found`, in that shape. Raises BadInput for any other number of values."""
    wanted = 1
    for size in shape:
        wanted *= size
    if found.numel() != wanted:
        raise BadInput(
            f"{where}: its {what} has {found.numel()} values where {wanted} belong; download the model again"
        )
    return found.reshape(tuple(shape))
