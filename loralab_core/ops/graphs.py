"""Work on a GPU that is recorded once and replayed: the same kernels on the same memory, started in one go.

What is recorded must keep to three rules: its sizes and its decisions are those of the recording; what changes from
replay to replay lies in tensors that stay where they are; and the host asks the device nothing.
"""

from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

import torch

from loralab_core.device_memory import give_back

Replay = Callable[[], None]


class CannotRecord(RuntimeError):
    """The work breaks one of the rules, or there is no memory for a graph. It has not been done."""


class Recorder(Protocol):
    def __call__(self, work: Callable[[], object]) -> Replay:
        """`work`, recorded and not yet done. Raises CannotRecord."""
        ...


def recorder(device: torch.device) -> "Recorder | None":
    """None where a device records nothing."""
    return CudaGraphs(device) if device.type == "cuda" else None


class CudaGraphs:
    """CUDA graphs that share the memory of their intermediate results: they are replayed one after the other."""

    def __init__(self, device: torch.device):
        self.device = device
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()  # that memory goes with the last of them

    def __call__(self, work: Callable[[], object]) -> Replay:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        pool = next((other.pool() for other in self._alive), None)
        try:
            # thread_local: other threads of an engine may allocate meanwhile
            with (
                torch.cuda.device(self.device),
                torch.cuda.graph(graph, pool, capture_error_mode="thread_local"),
            ):
                work()
        except Exception as error:
            first = error.__context__ or error  # the recording's end fails too, and says less
            why = str(first).partition("\n")[0]
            give_back(self.device, error)
            raise CannotRecord(why) from None
        finally:
            torch.cuda.set_stream(stream)  # an end that fails leaves the recording's own stream behind
        self._alive.add(graph)
        return graph.replay
