"""Chance from counters: repeatable in any order, even, and unrelated from one seed to the next."""

import torch

from loralab_core.ops.random_bits import SLAB, counter_seed, random_bits, stochastic_bf16, subtract_

MANY = 1 << 16


def test_parts_of_a_tensor_draw_what_the_whole_does() -> None:
    whole = random_bits(12345, 0, 1000)
    assert torch.equal(torch.cat([random_bits(12345, 0, 300), random_bits(12345, 300, 700)]), whole)
    assert int(whole.min()) >= 0 and int(whole.max()) < 1 << 32


def test_every_bit_is_even_and_no_seed_follows_from_another() -> None:
    seeds = [counter_seed(0, 3, step, tensor) for step in (1, 2) for tensor in (0, 1)]
    drawn = torch.stack([random_bits(seed, 0, MANY) for seed in seeds])
    bits = (drawn[..., None] >> torch.arange(32) & 1).double()
    assert (bits.mean(1) - 0.5).abs().max() < 0.012  # six standard deviations
    low = (drawn & 0xFFFF).double() / 65536 - 0.5
    low /= low.std(1, keepdim=True)
    assert (low @ low.T / MANY - torch.eye(4)).abs().max() < 0.025
    assert ((low[:, 1:] * low[:, :-1]).mean(1)).abs().max() < 0.025


def test_rounding_is_right_on_average_and_keeps_what_bf16_can_say() -> None:
    exact = torch.tensor([1.001, -1.001, 3.1e-5, 1e30, -0.30078125, 0.0])  # the last two are bf16 already
    rounded = torch.stack([stochastic_bf16(exact, counter_seed(7, step)).float() for step in range(20_000)])
    assert (rounded.double().mean(0) / exact - 1)[:5].abs().max() < 2e-4
    assert [len(column.unique()) for column in rounded.T] == [2, 2, 2, 2, 1, 1]
    assert torch.equal(rounded[0, 4:], exact[4:])


def test_updates_far_below_a_step_of_bf16_are_not_lost() -> None:
    count = SLAB + 17  # more than is drawn for at once
    parameter, update = torch.ones(count, dtype=torch.bfloat16), torch.full((count,), 1e-4)
    for step in range(20):
        subtract_(parameter, update, 1.0, counter_seed(0, step))
    assert abs(float(parameter.float().mean()) - 0.998) < 1e-4
    nearest = torch.ones(1, dtype=torch.bfloat16)
    assert (nearest - 1e-4).bfloat16() == nearest
