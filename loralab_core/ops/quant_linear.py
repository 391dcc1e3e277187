"""y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ (+ bias) with a quantised W, and its gradients, as one operator.

Only x is saved (and the r-wide u = x·Aᵀ); the gradient of W is never computed, and neither pass holds W dense. The
LoRA branch is the product of low rank of `quant_matmul`, in both directions: dx = dy·W + s·(dy·B)·A.

Projections of the same x (query, key and value; gate and up) are one product where their weights lie below one another
in one matrix: then A is all of theirs below one another, and s·B one block for each on a diagonal.
"""

from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.lora import Lora, diagonal, dropped, keeps, kept_operands, second_halves
from loralab_core.ops.quant_matmul import (
    WEIGHT,
    Compute,
    assembled,
    forward_compute,
    gradient_compute,
    parts,
    quant_matmul,
)
from loralab_core.quant.tensor import QuantTensor

LIBRARY.define(  # type: ignore[no-untyped-call]
    f"quant_linear(Tensor x, {WEIGHT}, Tensor? bias, Tensor? a, Tensor[] b, float[] lora_scales, float dropout, "
    "int? seed, str compute) -> (Tensor, Tensor)"
)


def quant_linear(
    x: Tensor,
    weight: QuantTensor,
    bias: Tensor | None = None,
    lora: Lora | tuple[Tensor, Tensor, float] | None = None,
    compute: Compute = "auto",
) -> Tensor:
    """x [..., in] → [..., out] in x's dtype. Differentiable in x, bias and the adapter's A [r, in] and B [out, r].

    compute: "w4a16" leaves activations as they are; "w4a8" rounds them to 8 bits and multiplies integers, "w4a8-grad"
    does so for the gradient of x alone; "auto" is w4a16. Raises ValueError for what does not fit together.
    """
    lora = Lora(*lora) if isinstance(lora, tuple) else lora
    _check(x, weight, bias, compute)
    _check_lora(lora, *weight.shape)
    if lora is None:
        return _multiplied(x, weight, bias, None, [], [], compute)
    if keeps(lora):
        return _answered(x, weight, weight.shape[:1], bias, [lora], compute)
    return _multiplied(x, weight, bias, lora.a, [lora.b], [lora.scale], compute, lora.dropout, lora.seed)


def quant_linears(
    x: Tensor,
    weight: QuantTensor,
    sizes: Sequence[int],
    bias: Tensor | None,
    loras: Sequence[Lora | None],
    compute: Compute = "auto",
) -> Tensor:
    """The same for projections whose weights are the next `sizes` rows of one: x [..., in] → [..., all sizes together].

    bias is as wide as that. Raises as quant_linear does, and ValueError for dropout: its masks differ from projection
    to projection, so those have no x in common.
    """
    _check(x, weight, bias, compute)
    if sum(sizes) != weight.shape[0]:
        raise ValueError(f"the projections have {sum(sizes)} rows together, their weight has {weight.shape[0]}")
    for size, lora in zip(sizes, loras, strict=True):
        _check_lora(lora, size, weight.shape[1])
        if lora is not None and lora.dropout and lora.seed is not None:
            raise ValueError("projections with dropout are multiplied one by one")
    if not (adapted := [lora.a for lora in loras if lora]):
        return _multiplied(x, weight, bias, None, [], [], compute)
    if all(keeps(lora) for lora in loras if lora):
        return _answered(x, weight, sizes, bias, loras, compute)
    b, scales = second_halves(sizes, loras)
    return _multiplied(x, weight, bias, torch.cat(adapted), b, scales, compute)


def _answered(
    x: Tensor,
    weight: QuantTensor,
    sizes: Sequence[int],
    bias: Tensor | None,
    loras: Sequence[Lora | None],
    compute: Compute,
) -> Tensor:
    """As _multiplied. Of one token, making the operands would take longer than the product."""
    flat = x.reshape(x.shape[:-1].numel(), x.shape[-1])
    a, right = kept_operands(loras, sizes, x.dtype)
    y = quant_matmul(flat, weight, left=flat @ a.t(), right=right, bias=bias, compute=forward_compute(compute))
    return y.view(*x.shape[:-1], weight.shape[0])


def _multiplied(
    x: Tensor,
    weight: QuantTensor,
    bias: Tensor | None,
    a: Tensor | None,
    b: list[Tensor],
    scales: list[float],
    compute: Compute,
    dropout: float = 0.0,
    seed: int | None = None,
) -> Tensor:
    """a [all ranks together, in]; of each projection B [its rows, its rank] and scale."""
    flat = x.reshape(x.shape[:-1].numel(), x.shape[-1])
    learning = torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad))
    if a is None and not learning and not torch.compiler.is_compiling():  # the way of answers, token by token
        y = quant_matmul(flat, weight, bias=bias, compute=forward_compute(compute))
    else:
        y, _ = torch.ops.loralab.quant_linear(flat, *parts(weight), bias, a, b, scales, dropout, seed, compute)
    return y.view(*x.shape[:-1], weight.shape[0])


def _check(x: Tensor, weight: QuantTensor, bias: Tensor | None, compute: str) -> None:
    out, width = weight.shape
    if not x.is_floating_point() or x.shape[-1:] != (width,):
        raise ValueError(f"x of [..., {width}] floats is wanted, not {x.dtype} {list(x.shape)}")
    if x.device != weight.device:
        raise ValueError(f"x is on {x.device}, the weight on {weight.device}")
    if compute not in get_args(Compute):
        raise ValueError(f"no numeric class is called {compute!r}; use {', '.join(get_args(Compute))}")
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"a bias of [{out}] is wanted, not {list(bias.shape)}")


def _check_lora(lora: Lora | None, out: int, width: int) -> None:
    if lora is not None and (lora.a.shape[1:] != (width,) or lora.b.shape != (out, len(lora.a))):
        raise ValueError(
            f"A [r, {width}] and B [{out}, r] are wanted, not {list(lora.a.shape)} and {list(lora.b.shape)}"
        )


def _forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    """y [tokens, out] and u [tokens, all ranks], which is empty without an adapter."""
    *weight, bias, a, b, scales, dropout, seed, compute = arguments
    how = {"bias": bias, "compute": forward_compute(compute)}
    matrix = assembled(*weight)
    if a is None:
        return quant_matmul(x, matrix, **how), x.new_empty(0)
    u = dropped(x, dropout, seed) @ a.to(x.dtype).t()
    return quant_matmul(x, matrix, left=u, right=diagonal(b, scales), **how), u


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, codes, scales, steps, codebook, zeros, width, group, bias, a, b, *rest = inputs
    ctx.save_for_backward(x if a is not None else None, codes, scales, steps, codebook, zeros, a, output[1], *b)
    ctx.size = (width, group)
    ctx.scales, ctx.dropout, ctx.seed, ctx.compute = rest
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, dy: Tensor | None, _: Tensor | None) -> tuple[Tensor | list[Tensor | None] | None, ...]:
    """Of every argument of the operator, in its order."""
    x, codes, scales, steps, codebook, zeros, a, u, *b = ctx.saved_tensors
    dx = da = du = dbias = None
    db: list[Tensor | None] = [None] * len(b)
    if dy is not None:
        dy = dy.contiguous()
        if a is not None:
            du, da, db = _of_branch(ctx, dy, x, a, u, b)
        if ctx.needs_input_grad[0]:
            dx = _dx(ctx, dy, assembled(codes, scales, steps, codebook, zeros, *ctx.size), a, du)
        dbias = dy.sum(0) if ctx.needs_input_grad[8] else None
    no_scales: list[Tensor | None] | None = None if ctx.scales else []  # PyTorch takes an empty list for one of tensors
    return dx, *(None,) * 7, dbias, da, db, no_scales, *(None,) * 3


def _of_branch(
    ctx: Any, dy: Tensor, x: Tensor, a: Tensor, u: Tensor, b: list[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """Gradients of u, A and every B."""
    dys = torch.split_with_sizes(dy, [len(each) for each in b], 1)
    us = torch.split_with_sizes(u, [each.shape[1] for each in b], 1)
    scaled = [(each * scale).to(dy.dtype) for each, scale in zip(b, ctx.scales, strict=True)]
    du = torch.cat([part @ each for part, each in zip(dys, scaled, strict=True)], 1)  # [tokens, all ranks]
    da = (du.t() @ dropped(x, ctx.dropout, ctx.seed)).to(a.dtype)
    products = zip(dys, us, b, ctx.scales, strict=True)
    return du, da, [(part.t() @ own).to(each.dtype) * scale for part, own, each, scale in products]


def _dx(ctx: Any, dy: Tensor, weight: QuantTensor, a: Tensor | None, du: Tensor | None) -> Tensor:
    compute = gradient_compute(ctx.compute)
    if a is None or du is None:
        return quant_matmul(dy, weight, transposed=True, compute=compute)
    if ctx.dropout == 0.0 or ctx.seed is None:
        return quant_matmul(dy, weight, transposed=True, left=du, right=a.t(), compute=compute)
    branch = dropped(du @ a.to(dy.dtype), ctx.dropout, ctx.seed)  # as wide as x, so it cannot join inside
    return branch.add_(quant_matmul(dy, weight, transposed=True, compute=compute))


def _fake(x: Tensor, codes: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    a = arguments[7]
    u = x.new_empty(0) if a is None else x.new_empty(x.shape[0], a.shape[0])
    return x.new_empty(x.shape[0], codes.shape[0]), u


LIBRARY.impl("quant_linear", _forward, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("loralab::quant_linear", _fake, lib=LIBRARY)
torch.library.register_autograd("loralab::quant_linear", _backward, setup_context=_save, lib=LIBRARY)
