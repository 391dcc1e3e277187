"""Projections of the same x as one product: the same as one by one, in what they answer, learn and keep on disk."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.lora.adapter import create_adapter, use_adapter
from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder
from loralab_core.models.merged import Merged
from loralab_core.models.parts import Linear
from loralab_core.ops import Lora
from loralab_core.quant import quantize
from tests.models.families import saved

CPU = torch.device("cpu")


def projections(kind: str = "nf4", sizes: tuple[int, ...] = (48, 16, 20), bias: bool = False) -> list[Linear]:
    found = [Linear(40, size, bias, f"p{number}") for number, size in enumerate(sizes)]
    for number, linear in enumerate(found):
        generator = torch.Generator().manual_seed(number)
        linear.hold(quantize(torch.randn(linear.out_features, 40, generator=generator), kind, 32))  # type: ignore[arg-type]
        if linear.bias is not None:
            linear.bias.data.normal_(generator=generator)
    return found


def merged(linears: list[Linear]) -> Merged:
    one = Merged(*linears)
    one.merge()
    return one


def adapters(linears: list[Linear], ranks: tuple[int, ...], dropout: float = 0.0) -> list[Tensor]:
    """Gives each its own rank and scale, none where the rank is 0. Returns all A and B."""
    leaves = []
    for number, (linear, rank) in enumerate(zip(linears, ranks, strict=True)):
        generator = torch.Generator().manual_seed(number)
        a, b = torch.randn(rank, 40, generator=generator), torch.randn(linear.out_features, rank, generator=generator)
        linear.lora = Lora(a.requires_grad_(), b.requires_grad_(), 0.5 + number, dropout, number) if rank else None
        leaves += [a, b] if rank else []
    return leaves


def results(one: Merged, leaves: list[Tensor], as_one: bool) -> list[Tensor]:
    """What it makes of an x, and the gradients of x and the leaves."""
    x = torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(9)).requires_grad_()
    assert (one.side_by_side(x) is not None) == as_one
    ys = one(x)
    grads = torch.autograd.grad(sum((y * y).sum() for y in ys), [x, *leaves])
    return [*ys, *grads]


@pytest.mark.parametrize("kind", ["nf4", "int4", "int8"])
@pytest.mark.parametrize("ranks", [(0, 0, 0), (4, 4, 4), (3, 0, 5), (0, 2, 0)])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_projections_one_by_one(kind: str, ranks: tuple[int, ...], bias: bool) -> None:
    found = []
    for as_one in (True, False):
        linears = projections(kind, bias=bias)
        one = merged(linears) if as_one else Merged(*linears)
        found.append(results(one, adapters(linears, ranks), as_one))
    for ours, separate in zip(*found, strict=True):
        torch.testing.assert_close(ours, separate, rtol=1e-5, atol=1e-3)


def test_masks_of_dropout_are_those_of_each_projection() -> None:
    linears = projections()
    leaves = adapters(linears, (4, 4, 4), dropout=0.25)
    found = [results(one, leaves, as_one=False) for one in (merged(linears), Merged(*linears))]
    for ours, separate in zip(*found, strict=True):
        torch.testing.assert_close(ours, separate, rtol=0, atol=0)


def test_nothing_is_held_twice() -> None:
    linears = projections()
    before = sum(linear.weight.nbytes for linear in linears)  # type: ignore[union-attr]
    one = merged(linears)
    assert one.weight is not None and one.weight.nbytes <= before
    whole = one.weight.codes.untyped_storage().data_ptr()
    assert all(linear.weight.codes.untyped_storage().data_ptr() == whole for linear in linears)


@pytest.mark.parametrize("sizes", [(40, 16), (8, 8, 8)])
def test_rows_that_share_their_scales_steps_with_another_projection_stay_apart(sizes: tuple[int, ...]) -> None:
    linears = projections(sizes=sizes)
    results(merged(linears), [], as_one=False)


def test_different_forms_stay_apart() -> None:
    linears = projections(sizes=(16, 16))
    linears[1].hold(quantize(torch.randn(16, 40), "nf4", 64))
    results(merged(linears), [], as_one=False)
    results(merged([Linear(40, 16, False, "dense"), projections(sizes=(16,))[0]]), [], as_one=False)


def test_another_weight_takes_the_place_of_its_rows() -> None:
    linears = projections(sizes=(16, 16))
    one = merged(linears)
    other = quantize(torch.ones(16, 40), "nf4", 32)
    linears[1].hold(other)
    x = torch.randn(3, 40)
    torch.testing.assert_close(one(x)[1], x @ other.dequantize().t())
    one.merge()
    assert one.side_by_side(x) is not None


def test_it_stays_one_matrix_on_another_device() -> None:
    module = torch.nn.ModuleList(projections())
    module.append(merged(list(module)))  # type: ignore[arg-type]
    one = module.to("meta")[-1]
    assert isinstance(one, Merged) and one.weight is not None and one.weight.device.type == "meta"
    assert one.side_by_side(torch.empty(3, 40, device="meta")) is not None


def test_a_tied_head_stays_the_embedding_on_another_device(tmp_path: Path) -> None:
    directory, _ = saved("llama", 1, tmp_path)
    for base in ("nf4", "fp32"):
        model = load_decoder(directory, base, CPU).to("meta")
        assert model.config.tied_head and model.head.weight is model.embedding.weight
        assert model.head.weight.device.type == "meta"


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma", "gemma2", "olmo2"])
def test_a_model_answers_and_learns_as_with_separate_products(family: str, tmp_path: Path) -> None:
    found = []
    for separate in (False, True):
        model = quantised(tmp_path, family)
        assert any(isinstance(module, Merged) and module.weight for module in model.modules())
        for module in model.modules() if separate else ():
            if isinstance(module, Merged):
                module.weight = None
        adapter = create_adapter(model, rank=3, alpha=6)
        for number, lora in enumerate(adapter.layers.values()):
            lora.b.normal_(std=0.2, generator=torch.Generator().manual_seed(number))
        leaves = [leaf.requires_grad_() for leaf in adapter.parameters()]
        use_adapter(model, adapter)
        logits = model(torch.arange(24)[None])
        found.append([logits, *torch.autograd.grad(logits.square().sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def test_compiled_it_gives_the_same(tmp_path: Path) -> None:
    linears = projections()
    leaves = adapters(linears, (3, 0, 5))
    one = merged(linears)
    plain = results(one, leaves, as_one=True)
    compiled = torch.compile(one, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(9)).requires_grad_()
    ys = compiled(x)
    grads = torch.autograd.grad(sum((y * y).sum() for y in ys), [x, *leaves])
    for ours, eager in zip([*ys, *grads], plain, strict=True):
        torch.testing.assert_close(ours, eager, rtol=1e-6, atol=1e-4)


def quantised(directory: Path, family: str = "llama") -> Decoder:
    return load_decoder(saved(family, 0, directory / family)[0], "nf4", CPU)
