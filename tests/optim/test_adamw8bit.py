"""AdamW in 8 bits follows AdamW, needs a quarter of its state, and repeats to the bit."""

import pytest
import torch

from loralab_core.optim import AdamW, AdamW8bit
from tests.optim.problems import loss_of, network, solved

HOW = {"lr": 3e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
STEPS = 400


def test_it_learns_as_well_as_adamw() -> None:
    ours, theirs = network(), network()
    reference = torch.optim.AdamW(theirs, fused=True, **HOW)
    loss, expected = solved(ours, AdamW8bit(ours, **HOW).step, STEPS), solved(theirs, reference.step, STEPS)
    assert loss == pytest.approx(expected, rel=0.03)
    assert loss < 0.5 * float(loss_of(network(), 0))


def test_the_first_step_is_adamws() -> None:
    """Nothing was rounded yet; and a tensor without a gradient stays."""
    ours, theirs = network(), network()
    optimizer, reference = AdamW8bit(ours, **HOW), torch.optim.AdamW(theirs, **HOW)
    for weights in (ours, theirs):
        loss_of(weights, 0).backward()
        weights[3].grad = None
    optimizer.step()
    reference.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
    assert torch.equal(ours[3], network()[3]) and ours[3] not in optimizer.state


def test_it_follows_bitsandbytes() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="the reference is not installed")
    ours, theirs = network(), network()
    optimizer, reference = AdamW8bit(ours, **HOW), bitsandbytes.optim.AdamW8bit(theirs, **HOW)
    loss, expected = solved(ours, optimizer.step, STEPS), solved(theirs, reference.step, STEPS)
    assert loss == pytest.approx(expected, rel=0.05)
    assert [optimizer.state[one]["exp_avg"].dtype for one in ours] == [
        reference.state[one]["state1"].dtype for one in theirs
    ]


def test_its_state_is_a_quarter() -> None:
    weight = torch.zeros(512, 1024, requires_grad=True)

    def held(optimizer: AdamW | AdamW8bit) -> int:
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        return sum(value.numel() * value.element_size() for value in optimizer.state[weight].values())

    assert held(AdamW8bit([weight], **HOW)) < 0.26 * held(AdamW([weight], **HOW))


def test_bf16_weights_learn_as_float32_ones_do() -> None:
    """Their steps, a hundredth of what bf16 can say, are lost where AdamW rounds to the nearest."""
    slow = HOW | {"lr": 1e-4}
    exact, rounded, lost = network(), network(torch.bfloat16), network(torch.bfloat16)
    expected = solved(exact, AdamW8bit(exact, **slow).step, STEPS)
    loss = solved(rounded, AdamW8bit(rounded, **slow).step, STEPS)
    nearest = solved(lost, AdamW(lost, **slow).step, STEPS)
    assert loss == pytest.approx(expected, rel=0.03) and nearest > loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_repeats_to_the_bit_and_its_seed_counts_only_in_bf16(dtype: torch.dtype) -> None:
    def end(seed: int) -> torch.Tensor:
        weights = network(dtype)
        solved(weights, AdamW8bit(weights, seed=seed, **HOW).step, 10)
        return torch.cat([weight.detach().flatten() for weight in weights])

    assert torch.equal(end(1), end(1))
    assert torch.equal(end(1), end(2)) == (dtype == torch.float32)
