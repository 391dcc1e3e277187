"""The optimiser is PyTorch's own AdamW, bit for bit."""

import torch

from loralab_core.optim import AdamW

HOW = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
SHAPES = (((3, 5), torch.float32), ((7,), torch.float32), ((4, 4), torch.bfloat16))


def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(shape, generator=generator).to(kind) for shape, kind in SHAPES]
    return [tensor.requires_grad_() for tensor in made]


def give_gradients(tensors: list[torch.Tensor], step: int) -> None:
    """The second has none in the first step."""
    generator = torch.Generator().manual_seed(step)
    for number, tensor in enumerate(tensors):
        gradient = torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
        tensor.grad = None if (step, number) == (1, 1) else gradient


def test_same_tensors_and_moments_as_pytorchs() -> None:
    ours, theirs = parameters(), parameters()
    optimizer, reference = AdamW(ours, **HOW), torch.optim.AdamW(theirs, fused=True, **HOW)
    for step in range(1, 6):
        for tensors in (ours, theirs):
            give_gradients(tensors, step)
        optimizer.lr = reference.param_groups[0]["lr"] = 1e-2 / step
        optimizer.step()
        reference.step()
        assert (ours[1] in optimizer.state) == (step > 1)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert optimizer.state[one].keys() == reference.state[other].keys()
        assert all(torch.equal(value, reference.state[other][name]) for name, value in optimizer.state[one].items())


def test_gradients_are_given_back() -> None:
    tensors = parameters()
    give_gradients(tensors, 2)
    AdamW(tensors, **HOW).zero_grad()
    assert all(tensor.grad is None for tensor in tensors)
