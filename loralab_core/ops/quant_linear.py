"""y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ (+ bias) with a quantised W, and its gradients, as one operator.

Only x is saved (and the r-wide u = x·Aᵀ); the gradient of W is never computed, and neither pass holds W dense. The
LoRA branch is the product of low rank of `quant_matmul`, in both directions: dx = dy·W + s·(dy·B)·A.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.lora import Lora, dropped
from loralab_core.ops.quant_matmul import WEIGHT, assembled, parts, quant_matmul
from loralab_core.quant.tensor import QuantTensor

Compute = Literal["auto", "w4a16", "w4a8-grad", "w4a8"]

LIBRARY.define(  # type: ignore[no-untyped-call]
    f"quant_linear(Tensor x, {WEIGHT}, Tensor? bias, Tensor? a, Tensor? b, float scale, float dropout, int? seed, "
    "str compute) -> (Tensor, Tensor)"
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
    _check(x, weight, bias, lora, compute)
    flat = x.reshape(x.shape[:-1].numel(), x.shape[-1])
    learning = torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad))
    if lora is None and not learning and not torch.compiler.is_compiling():  # the way of answers, token by token
        y = quant_matmul(flat, weight, bias=bias, compute="w4a8" if compute == "w4a8" else "w4a16")
    else:
        branch = (None, None, 0.0, 0.0, None) if lora is None else (lora.a, lora.b, lora.scale, lora.dropout, lora.seed)
        y, _ = torch.ops.loralab.quant_linear(flat, *parts(weight), bias, *branch, compute)
    return y.view(*x.shape[:-1], weight.shape[0])


def _check(x: Tensor, weight: QuantTensor, bias: Tensor | None, lora: Lora | None, compute: str) -> None:
    out, width = weight.shape
    if not x.is_floating_point() or x.shape[-1:] != (width,):
        raise ValueError(f"x of [..., {width}] floats is wanted, not {x.dtype} {list(x.shape)}")
    if x.device != weight.device:
        raise ValueError(f"x is on {x.device}, the weight on {weight.device}")
    if compute not in get_args(Compute):
        raise ValueError(f"no numeric class is called {compute!r}; use {', '.join(get_args(Compute))}")
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"a bias of [{out}] is wanted, not {list(bias.shape)}")
    if lora is not None and (lora.a.shape[1:] != (width,) or lora.b.shape != (out, len(lora.a))):
        raise ValueError(
            f"A [r, {width}] and B [{out}, r] are wanted, not {list(lora.a.shape)} and {list(lora.b.shape)}"
        )


def _forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    """y [tokens, out] and u [tokens, r], which is empty without an adapter."""
    *weight, bias, a, b, scale, dropout, seed, compute = arguments
    how = {"bias": bias, "compute": "w4a8" if compute == "w4a8" else "w4a16"}
    matrix = assembled(*weight)
    if a is None:
        return quant_matmul(x, matrix, **how), x.new_empty(0)
    u = dropped(x, dropout, seed) @ a.to(x.dtype).t()
    return quant_matmul(x, matrix, left=u * scale, right=b, **how), u


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, codes, scales, steps, codebook, zeros, width, group, bias, a, b, *rest = inputs
    ctx.save_for_backward(x if a is not None else None, codes, scales, steps, codebook, zeros, a, b, output[1])
    ctx.size = (width, group)
    ctx.scale, ctx.dropout, ctx.seed, ctx.compute = rest
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, dy: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of every argument of the operator, in its order."""
    if dy is None:
        return (None,) * 15
    x, *weight, a, b, u = ctx.saved_tensors
    dy = dy.contiguous()
    dx = da = db = du = None
    if a is not None:
        du = dy @ (b * ctx.scale).to(dy.dtype)  # [tokens, r]
        da = (du.t() @ dropped(x, ctx.dropout, ctx.seed)).to(a.dtype)
        db = (dy.t() @ u).to(b.dtype) * ctx.scale
    if ctx.needs_input_grad[0]:
        dx = _dx(ctx, dy, assembled(*weight, *ctx.size), a, du)
    dbias = dy.sum(0) if ctx.needs_input_grad[8] else None
    return dx, *(None,) * 7, dbias, da, db, *(None,) * 4


def _dx(ctx: Any, dy: Tensor, weight: QuantTensor, a: Tensor | None, du: Tensor | None) -> Tensor:
    compute: Any = "w4a16" if ctx.compute in ("auto", "w4a16") else "w4a8"
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
