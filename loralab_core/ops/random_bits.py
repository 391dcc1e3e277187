"""Chance that is a function of counters: whoever asks, in whatever order, gets the same draw; nothing to save."""

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
SLAB = 1 << 16  # elements drawn for at a time: their 64-bit scratch stays in the cache


def counter_seed(*counters: int) -> int:
    """A 63-bit seed that depends on every counter (splitmix64's finaliser, folded over them)."""
    state = 0
    for counter in counters:
        state = (state + counter + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def random_bits(seed: int, start: int, count: int, device: torch.device | None = None) -> Tensor:
    """32 bits for each of the elements start … start + count - 1, as int64 [count].

    The finaliser "lowbias32" of hash-prospector, the seed's halves added on either side of its first product.
    """
    x = torch.arange(start, start + count, dtype=torch.int64, device=device).add_(seed & MASK).bitwise_and_(MASK)
    x.bitwise_xor_(x >> 16).mul_(0x7FEB352D).bitwise_and_(MASK)
    x.bitwise_xor_(x >> 15).bitwise_xor_(seed >> 32).mul_(0x846CA68B).bitwise_and_(MASK)
    return x.bitwise_xor_(x >> 16)


def stochastic_bf16(exact: Tensor, seed: int, start: int = 0) -> Tensor:
    """float32 [n] → bf16 [n], up or down by chance in proportion to what is cut off: right on average.

    Rounding to the nearest would swallow every update smaller than half a step, which is most of them in full tuning
    (arXiv:2010.06192). `start`: number of the first element, so that parts of a tensor round as the whole would.
    """
    up = random_bits(seed, start, exact.numel(), exact.device).bitwise_and_(0xFFFF).int()
    return up.add_(exact.view(torch.int32)).bitwise_and_(~0xFFFF).view(torch.float32).bfloat16()


@torch.no_grad()
def subtract_(parameter: Tensor, update: Tensor, keep: float, seed: int) -> None:
    """parameter ← keep · parameter - update (float32, same shape), a bf16 parameter rounded by chance."""
    if parameter.dtype != torch.bfloat16:
        parameter.mul_(keep).sub_(update)
        return
    flat, change = parameter.view(-1), update.reshape(-1)
    for start in range(0, flat.numel(), SLAB):
        part = flat[start : start + SLAB]
        part.copy_(stochastic_bf16(part.float().mul_(keep).sub_(change[start : start + SLAB]), seed, start))
