"""What every optimiser is to the trainer: tensors, a learning rate set before each step, a state that is saved."""

from collections.abc import Iterable

from torch import Tensor

State = dict[str, Tensor]  # of one tensor; `step` is float32 []


class Optimizer:
    """`lr` is set before each step. `state` holds what is known of each tensor from its first step on."""

    def __init__(self, tensors: Iterable[Tensor], *, lr: float) -> None:
        self.tensors = tuple(tensors)
        self.lr = lr
        self.state: dict[Tensor, State] = {}

    def step(self) -> None:
        """One step for every tensor that has a gradient."""
        raise NotImplementedError

    def fresh(self, tensor: Tensor) -> State:
        """The state before the first step; also the names, shapes and types in which it is saved."""
        raise NotImplementedError

    def state_of(self, tensor: Tensor) -> State:
        if tensor not in self.state:
            self.state[tensor] = self.fresh(tensor)
        return self.state[tensor]

    def zero_grad(self) -> None:
        """The gradients' memory is given back."""
        for tensor in self.tensors:
            tensor.grad = None
