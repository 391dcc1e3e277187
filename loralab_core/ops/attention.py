"""Causal grouped-query attention over packed rows: a token sees its own document's past and nothing else.

Notable:
- On a CPU each document is attended to on its own (no mask, no wasted half), and the backward pass recomputes the
  probabilities block by block of 128 queries (FlashAttention, arXiv:2205.14135, at the size a cache holds). PyTorch's
  own CPU backward takes about three times as long in float32.
- Elsewhere, and where a sliding window bites, one mask goes to scaled_dot_product_attention.
- Soft-capped scores (Gemma 2) have no fast kernel: they are made block by block here, forward as backward.
- A single query, an answer's next token, takes the heads that share a key as its queries: each key is read once.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops.attention_plan import AttentionPlan, Segment
from loralab_core.ops.elementwise import soft_cap

BLOCK = 128  # queries of one backward block: scores of a block stay in a core's cache


def attention(
    q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float | None = None, cap: float | None = None
) -> Tensor:
    """q [batch, queries, heads, D], k and v [batch, keys, kv_heads, D] → [batch, queries, heads · D].

    Scores are q·k · `scale` (1/√D unless given), then cap · tanh(score / cap) where there is a `cap`.
    """
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if plan.mask is not None or not plan.segments:
        queries = _of_one_token(q, k.shape[1]) if q.shape[2] == 1 else q
        out = _all_at_once(queries, k, v, plan.mask, scale, cap).reshape(q.shape)
    elif q.device.type == "cpu" or cap is not None:
        out = _SegmentAttention.apply(q, k, v, plan.segments, scale, cap)  # type: ignore[no-untyped-call]
    else:
        out = _by_segment(q, k, v, plan.segments, scale)
    return out.transpose(1, 2).flatten(2)


def _of_one_token(q: Tensor, kv_heads: int) -> Tensor:
    """[batch, heads, 1, D] → [batch, kv_heads, heads that share a key, D]: they see the same, so one mask does."""
    return q.reshape(len(q), kv_heads, -1, q.shape[-1])


def _all_at_once(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, cap: float | None) -> Tensor:
    """On a GPU no fast kernel takes a mask and shared key heads together, so there the heads are repeated first."""
    if cap is not None or (mask is not None and q.device.type != "cpu"):
        k, v = _repeated(k, q.shape[1]), _repeated(v, q.shape[1])
    if cap is not None:
        return _capped(q, k, v, mask, scale, cap)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=q.shape[1] != k.shape[1])


def _repeated(x: Tensor, heads: int) -> Tensor:
    share = heads // x.shape[1]
    return x if share == 1 else x.repeat_interleave(share, 1)


def _capped(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, cap: float) -> Tensor:
    """All scores at once, by autograd: for a cached answer, and where a window bites."""
    scores = soft_cap((q @ k.transpose(-1, -2)).float() * scale, cap)
    if mask is not None and mask.dtype == torch.bool:
        # not -inf: a row of padding sees nothing, and its softmax must not be NaN
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    return torch.softmax(scores, -1).to(q.dtype) @ v


def _by_segment(q: Tensor, k: Tensor, v: Tensor, segments: tuple[Segment, ...], scale: float) -> Tensor:
    """Rows share their borders here, so the pieces are simply joined again; padding stays zero."""
    parts, done = [], 0
    for rows, start, end in segments:
        part = (rows, slice(None), slice(start, end))
        piece = F.scaled_dot_product_attention(q[part], k[part], v[part], is_causal=True, scale=scale, enable_gqa=True)
        parts.append(piece)
        done = end
    if done < q.shape[2]:
        parts.append(torch.zeros_like(q[:, :, done:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


class _SegmentAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, segments: tuple[Segment, ...], scale: float, cap: float | None
    ) -> Tensor:
        batch, heads, time, width = q.shape
        share = heads // k.shape[1]
        # stored [batch, time, heads, width], as the projections before and after want it
        out = q.new_zeros(batch, time, heads, width).transpose(1, 2)
        log_sums = []
        for rows, start, end in segments:
            part = (rows, slice(None), slice(start, end))
            keys, values = (x[part].repeat_interleave(share, 1) for x in (k, v))
            if cap is None:
                piece, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    q[part], keys, values, is_causal=True, scale=scale
                )
            else:
                piece, log_sum = _capped_blocks(q[part], keys, values, scale, cap)
            out[part] = piece
            log_sums.append(log_sum)  # [rows, heads, end - start]
        ctx.save_for_backward(q, k, v, out, *log_sums)
        ctx.segments, ctx.scale, ctx.cap = segments, scale, cap
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, *log_sums = ctx.saved_tensors
        delta = (dout.float() * out.float()).sum(-1)  # [batch, heads, time]
        dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
        for (rows, start, end), log_sum in zip(ctx.segments, log_sums, strict=True):
            part = (rows, slice(None), slice(start, end))
            dq[part], dk[part], dv[part] = _segment_backward(
                q[part], k[part], v[part], dout[part], log_sum, delta[part], ctx.scale, ctx.cap
            )
        return dq, dk, dv, None, None, None


def _capped_blocks(q: Tensor, k: Tensor, v: Tensor, scale: float, cap: float) -> tuple[Tensor, Tensor]:
    """Causal attention [rows, heads, time, D] and its log-sums [rows, heads, time], BLOCK queries at a time."""
    out, log_sums = torch.empty_like(q), []
    for start in range(0, q.shape[2], BLOCK):
        end = min(start + BLOCK, q.shape[2])
        scores = soft_cap((q[:, :, start:end] @ k[:, :, :end].transpose(-1, -2)).float() * scale, cap)
        scores[..., start:].masked_fill_(_future(end - start, q.device), -torch.inf)
        log_sum = scores.logsumexp(-1)
        out[:, :, start:end] = scores.sub_(log_sum[..., None]).exp_().to(q.dtype) @ v[:, :, :end]
        log_sums.append(log_sum)
    return out, torch.cat(log_sums, -1)


def _future(count: int, device: torch.device) -> Tensor:
    return torch.ones(count, count, dtype=torch.bool, device=device).triu(1)


def _segment_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dout: Tensor,
    log_sum: Tensor,
    delta: Tensor,
    scale: float,
    cap: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one causal run. q, dout [rows, heads, time, D]; k, v [rows, kv_heads, time, D].

    The heads that share a key head are stacked as extra queries, so keys are never repeated.
    """
    rows, heads, time, width = q.shape
    kv_heads, dtype = k.shape[1], q.dtype
    groups, share = rows * kv_heads, heads // kv_heads
    q, dout = (x.reshape(groups, share, time, width) for x in (q, dout))
    log_sum, delta = (x.float().reshape(groups, share, time) for x in (log_sum, delta))
    k, v = (x.reshape(groups, time, width) for x in (k, v))
    dq = torch.empty_like(q)
    dk, dv = (torch.zeros(groups, time, width, device=q.device) for _ in range(2))  # float32 sums over blocks
    for start in range(0, time, BLOCK):
        end = min(start + BLOCK, time)
        count = share * (end - start)
        query = q[:, :, start:end].reshape(groups, count, width)
        dblock = dout[:, :, start:end].reshape(groups, count, width)
        scores = (query @ k[:, :end].transpose(1, 2)).float().view(groups, share, end - start, end)
        scores, slope = _bent(scores.mul_(scale), scale, cap)
        probability = scores.sub_(log_sum[:, :, start:end, None]).exp_()
        probability[..., start:].masked_fill_(_future(end - start, q.device), 0.0)
        dprobability = (dblock @ v[:, :end].transpose(1, 2)).float().view_as(probability)
        dv[:, :end] += probability.to(dtype).view(groups, count, end).transpose(1, 2) @ dblock
        dscores = dprobability.sub_(delta[:, :, start:end, None]).mul_(probability).mul_(slope)
        dscores = dscores.to(dtype).view(groups, count, end)
        dq[:, :, start:end] = (dscores @ k[:, :end]).view(groups, share, end - start, width)
        dk[:, :end] += dscores.transpose(1, 2) @ query
    shape = (rows, kv_heads, time, width)
    return dq.view(rows, heads, time, width), dk.to(dtype).view(shape), dv.to(dtype).view(shape)


def _bent(scores: Tensor, scale: float, cap: float | None) -> tuple[Tensor, Tensor | float]:
    """Scores as the softmax saw them, and their derivative by q·k."""
    if cap is None:
        return scores, scale
    bent = scores.div_(cap).tanh_()
    return bent * cap, (1 - bent * bent).mul_(scale)
