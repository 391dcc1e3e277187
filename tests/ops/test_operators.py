"""What torch asks of every operator: a schema that tells the truth, a fake of the right shapes, something to trace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from loralab_core.ops import gated, gated_halves, rms_norm
from loralab_core.ops.adam8bit import adam_step
from loralab_core.ops.adam8bit_many import packed_steps
from loralab_core.ops.blockwise8 import dynamic_map
from loralab_core.optim import AdamW8bit

Arguments = tuple[Any, ...]


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def norm_arguments(dtype: torch.dtype) -> Arguments:
    return normal(2, 3, 4, 16, dtype=dtype).transpose(1, 2), normal(16, dtype=dtype), 1e-5, 1.0


def adam_arguments(dtype: torch.dtype) -> Arguments:
    parameters = [normal(4096, dtype=dtype), normal(5, dtype=dtype)]
    states = [AdamW8bit([each], lr=0, betas=(0, 0), eps=0, weight_decay=0).fresh(each) for each in parameters]
    names = ("exp_avg", "exp_avg_sq", "exp_avg_scale", "exp_avg_sq_scale")
    lists = [[state.get(name, torch.empty(0)) for state in states] for name in names]
    steps = packed_steps([adam_step(1e-2, (0.9, 0.99), 1e-8, 0.1, 1, seed) for seed in (1 << 60, 7)])
    gradients = [each + 1 for each in parameters]
    return parameters, gradients, *lists, steps, dynamic_map(True), dynamic_map(False)


OPERATORS: dict[str, Callable[[torch.dtype], Arguments]] = {
    "rms_norm": norm_arguments,
    "rms_norm_backward": lambda d: (
        normal(2, 4, 3, 16, dtype=d),
        *norm_arguments(d)[:2],
        normal(2, 4, 3, 1).abs(),
        1.0,
    ),
    "rotary": lambda d: (normal(2, 3, 5, 10, dtype=d).transpose(1, 2), normal(1, 5, 1, 4), normal(1, 5, 1, 4), True),
    "gated": lambda d: (*normal(2, 3, 8, dtype=d).chunk(2, -1), "gelu"),
    "gated_backward": lambda d: (normal(2, 3, 4, dtype=d), *normal(2, 3, 8, dtype=d).chunk(2, -1), "silu"),
    "gated_halves_backward": lambda d: (normal(4, 2, dtype=d).t(), normal(2, 8, dtype=d), "gelu_tanh"),
    "softmax_loss_": lambda d: (normal(5, 7, dtype=d), torch.tensor([0, 6, 3, 3, 1]), 0.5),
    "adam8bit_many_": adam_arguments,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_as_torch_wants_them(name: str, dtype: torch.dtype) -> None:
    operator = getattr(torch.ops.loralab, name).default
    torch.library.opcheck(operator, OPERATORS[name](dtype))


@pytest.mark.parametrize("name", OPERATORS)
def test_a_fake_has_the_layout_of_the_real(name: str) -> None:
    operator, arguments = getattr(torch.ops.loralab, name).default, OPERATORS[name](torch.bfloat16)

    def layout(found: Any) -> list[Any]:
        tensors = found if isinstance(found, tuple | list) else [found]
        return [(each.shape, each.stride(), each.dtype) for each in tensors if each is not None]

    with torch._subclasses.FakeTensorMode() as mode:
        faked = torch.utils._pytree.tree_map_only(Tensor, mode.from_tensor, arguments)
        expected = layout(operator(*faked))
    assert layout(operator(*arguments)) == expected


def test_gradients_are_those_of_the_formulas() -> None:
    x, gain = (normal(*shape, dtype=torch.float64).requires_grad_() for shape in ((3, 2, 8), (8,)))
    loose = {"eps": 1e-3, "atol": 1e-3, "rtol": 1e-3}  # norms are computed in float32
    assert torch.autograd.gradcheck(lambda x, gain: rms_norm(x, gain, 1e-2, 1.0), (x, gain), **loose)
    for activation in ("silu", "gelu", "gelu_tanh"):
        assert torch.autograd.gradcheck(lambda *both, a=activation: gated(*both, a), tuple(x.chunk(2, -1)))
        assert torch.autograd.gradcheck(lambda both, a=activation: gated_halves(both, a), (x,))
