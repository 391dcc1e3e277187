"""Each operator against its definition written out, values and gradients, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops import AttentionPlan, Lora, attention, gated, linear, linear_cross_entropy, rms_norm, rotary

CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype).requires_grad_()


def same_gradients(ours: Tensor, theirs: Tensor, inputs: list[Tensor], tolerance: float = 1e-9) -> None:
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(9), dtype=ours.dtype)
    assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    left = torch.autograd.grad((ours * weight).sum(), inputs, retain_graph=True)
    right = torch.autograd.grad((theirs * weight).sum(), inputs)
    for a, b in zip(left, right, strict=True):
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance)


class TestLinear:
    def test_the_adapter_is_added_to_the_product(self) -> None:
        x, w = normal(3, 5, 8), normal(6, 8, seed=1).detach()
        a, b, bias = normal(2, 8, seed=2), normal(6, 2, seed=3), normal(6, seed=4)
        ours = linear(x, w, bias, Lora(a, b, 1.5))
        same_gradients(ours, x @ w.T + bias + 1.5 * (x @ a.T) @ b.T, [x, a, b, bias])

    def test_dropout_is_the_same_mask_again_for_the_same_seed(self) -> None:
        x, w = normal(4, 8), normal(6, 8, seed=1).detach()
        a, b = normal(2, 8, seed=2), normal(6, 2, seed=3)
        outputs = [linear(x, w, None, Lora(a, b, 1.0, 0.5, seed)) for seed in (11, 11, 12, None)]
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2]) and not torch.equal(outputs[0], outputs[3])

    def test_dropout_s_backward_uses_the_forward_s_mask(self) -> None:
        x, w = normal(4, 8), torch.zeros(6, 8, dtype=torch.float64)
        a, b = normal(2, 8, seed=2), normal(6, 2, seed=3)
        assert torch.autograd.gradcheck(lambda x, a, b: linear(x, w, None, Lora(a, b, 1.0, 0.4, 5)), (x, a, b))

    def test_a_small_update_survives_bf16(self) -> None:
        """Rounding the base product first would lose an update below half a bf16 step of it in every row."""
        x = torch.randn(512, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
        w = torch.randn(32, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
        a, b = torch.ones(1, 64) * 1e-3, torch.ones(32, 1) * 1e-2
        moved = (linear(x, w, None, Lora(a, b, 1.0)).double() - linear(x, w).double()).mean(0)
        wanted = ((x.double() @ a.double().T) @ b.double().T).mean(0)
        exact = x.double() @ w.double().T
        rounding = (exact.bfloat16().double() - exact).abs().mean() / math.sqrt(512)
        assert (moved - wanted).abs().max() < 6 * rounding


class TestElementwise:
    def test_rms_norm(self) -> None:
        x, gain = normal(3, 4, 16, dtype=torch.float32), normal(16, seed=1, dtype=torch.float32)
        same_gradients(rms_norm(x, gain, 1e-5), F.rms_norm(x, (16,), gain, 1e-5), [x, gain], 1e-5)

    def test_gated(self) -> None:
        gate, up = normal(3, 8), normal(3, 8, seed=1)
        same_gradients(gated(gate, up, "silu"), F.silu(gate) * up, [gate, up])

    def test_rotary_turns_and_so_keeps_lengths(self) -> None:
        x, angle = normal(2, 5, 3, 8), normal(1, 5, 1, 4, seed=1).detach()
        turned = rotary(x, angle.cos(), angle.sin())
        assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1))
        assert torch.allclose(rotary(turned, angle.cos(), -angle.sin()), x)


class TestCrossEntropy:
    @pytest.mark.parametrize("tokens", (1, 40, 700))
    def test_equals_the_loss_over_all_logits(self, tokens: int) -> None:
        hidden, head = normal(tokens, 16, dtype=torch.float32), normal(61, 16, seed=1, dtype=torch.float32)
        labels = torch.randint(0, 61, (tokens,), generator=torch.Generator().manual_seed(2))
        ours = linear_cross_entropy(hidden, head, labels, 1 / tokens)
        same_gradients(ours, F.cross_entropy(hidden @ head.T, labels), [hidden, head], 1e-5)

    def test_logits_of_all_tokens_never_exist(self) -> None:
        """A vocabulary and token count whose full logits (4 GB) would not fit this bound by far."""
        import psutil

        hidden, head = torch.zeros(10_000, 8, requires_grad=True), torch.zeros(100_000, 8)
        before = psutil.Process().memory_info().rss
        linear_cross_entropy(hidden, head, torch.zeros(10_000, dtype=torch.long)).backward()
        assert psutil.Process().memory_info().rss - before < 600e6

    def test_nothing_to_train_is_zero(self) -> None:
        hidden = normal(0, 8, dtype=torch.float32)
        loss = linear_cross_entropy(hidden, torch.zeros(5, 8), torch.zeros(0, dtype=torch.long))
        loss.backward()
        assert loss.item() == 0.0


def by_definition(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, cap: float | None = None) -> Tensor:
    """softmax(q·kᵀ/√D)·v with `seen` [batch, queries, keys]; rows that see nothing give zero."""
    share = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(share, 2) for x in (k, v))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    scores = scores if cap is None else cap * torch.tanh(scores / cap)
    weights = torch.softmax(scores.masked_fill(~seen[:, None], -math.inf), -1).nan_to_num(0.0)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2)


def who_sees(documents: list[list[tuple[int, int]]], time: int, window: int | None) -> Tensor:
    seen = torch.zeros(len(documents), time, time, dtype=torch.bool)
    for row, spans in enumerate(documents):
        for start, end in spans:
            for query in range(start, end):
                first = start if window is None else max(start, query - window + 1)
                seen[row, query, first : query + 1] = True
    return seen


PACKINGS: dict[str, list[list[tuple[int, int]]]] = {
    "one document": [[(0, 300)], [(0, 300)]],
    "alike": [[(0, 130), (130, 300)], [(0, 130), (130, 300)]],
    "different": [[(0, 7), (7, 290)], [(0, 300)]],
    "padded": [[(0, 150)], [(0, 20), (20, 21), (21, 280)]],
}


class TestAttention:
    @pytest.mark.parametrize("window", (None, 17))
    @pytest.mark.parametrize("packing", PACKINGS)
    def test_documents_see_their_own_past_only(self, packing: str, window: int | None) -> None:
        documents, time = PACKINGS[packing], 300
        q, k, v = (normal(2, time, heads, 8, seed=n, dtype=torch.float32) for n, heads in enumerate((6, 2, 2)))
        plan = AttentionPlan.packed(documents, time, CPU, window)
        real = who_sees(documents, time, window).any(-1)[..., None]  # what padding gives is nobody's business
        ours = attention(q, k, v, plan) * real
        same_gradients(ours, by_definition(q, k, v, who_sees(documents, time, window)) * real, [q, k, v], 2e-5)

    @pytest.mark.parametrize(("past", "time"), [(0, 9), (9, 1), (9, 5)])
    @pytest.mark.parametrize("window", (None, 4))
    def test_behind_a_cache(self, past: int, time: int, window: int | None) -> None:
        q = normal(1, time, 4, 8, dtype=torch.float32)
        k, v = (normal(1, past + time, 2, 8, seed=n, dtype=torch.float32) for n in (1, 2))
        seen = who_sees([[(0, past + time)]], past + time, window)[:, past:]
        ours = attention(q, k, v, AttentionPlan.cached(past, time, CPU, window))
        assert torch.allclose(ours, by_definition(q, k, v, seen), atol=1e-5)

    @pytest.mark.parametrize("kv_heads", (1, 2, 4))
    @pytest.mark.parametrize("cap", (None, 0.7))
    @pytest.mark.parametrize("window", (None, 4))
    @pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
    def test_one_token_among_slots_that_are_not_all_taken(
        self, kv_heads: int, cap: float | None, window: int | None, dtype: torch.dtype
    ) -> None:
        """Whatever stands in the slots behind it, and in those of padding."""
        pads, place, capacity = torch.tensor([[0], [3]]), torch.tensor([9]), 16
        q = normal(2, 1, 4, 8, dtype=dtype)
        k, v = (normal(2, capacity, kv_heads, 8, seed=n, dtype=dtype) for n in (1, 2))
        seen = who_sees([[(0, 10)], [(3, 10)]], capacity, window)[:, 9:10]
        ours = attention(q, k, v, AttentionPlan.of_slots(pads, place, capacity, dtype, window), cap=cap)
        exact = by_definition(q.float(), k.float(), v.float(), seen, cap)
        assert torch.allclose(ours.float(), exact, atol=1e-5 if dtype == torch.float32 else 2e-2)
