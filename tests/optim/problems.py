"""Small problems for optimisers, solved by ours and by a reference side by side."""

from collections.abc import Callable, Sequence

import torch

WIDTH, HIDDEN, COUNT = 48, 96, 256

Tensors = list[torch.Tensor]


def network(dtype: torch.dtype = torch.float32) -> Tensors:
    """A small network's weights, of which the matrices have more than 4096 elements and the biases fewer."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(HIDDEN, WIDTH), (HIDDEN,), (WIDTH, HIDDEN), (WIDTH,)]
    made = [torch.randn(shape, generator=generator) * shape[-1] ** -0.5 for shape in shapes]
    return [tensor.to(dtype).requires_grad_() for tensor in made]


def loss_of(weights: Sequence[torch.Tensor], step: int) -> torch.Tensor:
    """Of a batch of inputs whose scales span four decades, against what a fixed random function says of them."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(COUNT, WIDTH, generator=generator) * torch.logspace(-2, 2, WIDTH) ** 0.5
    target = torch.sin(x) + torch.roll(x, 1, -1).tanh()
    first, bias, second, offset = (weight.float() for weight in weights)
    hidden = torch.nn.functional.silu(x @ first.T + bias)
    return torch.nn.functional.mse_loss(hidden @ second.T + offset, target)


def solved(weights: Tensors, move: Callable[[], None], steps: int) -> float:
    """The mean loss of the last tenth of the steps; `move` makes one of them."""
    seen = []
    for step in range(steps):
        loss = loss_of(weights, step)
        loss.backward()
        move()
        for weight in weights:
            weight.grad = None
        seen.append(loss.item())
    return sum(seen[-steps // 10 :]) / (steps // 10)
