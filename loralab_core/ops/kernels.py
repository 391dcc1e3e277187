"""Which fused operators have a kernel of their own where a tensor lies."""

from torch import Tensor

from loralab_core.ops.native.gpu import native_gpu


def has_kernel(name: str, x: Tensor) -> bool:
    """Whether an operator is worth its dispatch: on a CPU the references of these are called as they are.

    The first question about a GPU may compile its kernels.
    """
    if x.is_cuda:
        return name in native_gpu(x.device.index).operators
    if x.is_mps:
        from loralab_core.ops.metal.library import metal  # knows the operators that ask

        return name in metal().operators
    return False
