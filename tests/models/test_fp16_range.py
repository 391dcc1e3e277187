"""Models that fp16 is too narrow for: told while they are read, or computed in fp32 where the base is quantised."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from loralab_core.architecture.families import read_config
from loralab_core.errors import BadInput
from loralab_core.models import Decoder, load_decoder, loading
from loralab_core.models.fp16_range import stays_in_range
from tests.gguf.converting import convert
from tests.models.checkpoints import llama, save

CPU = torch.device("cpu")
BEYOND = 70_000.0


def with_value(name: str, value: float, model: PreTrainedModel | None = None) -> PreTrainedModel:
    model = model or llama()
    model.state_dict()[name].view(-1)[5] = value
    return model


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
@pytest.mark.parametrize("value", [BEYOND, -BEYOND])
def test_a_weight_beyond_fp16_is_named(name: str, value: float, tmp_path: Path) -> None:
    directory = save(with_value(name, value), tmp_path)
    with pytest.raises(BadInput, match=f"model.safetensors: {name}: .* beyond 65504.* use --base fp32"):
        load_decoder(directory, "fp16", CPU)
    assert load_decoder(directory, "bf16", CPU).dtype == torch.bfloat16


def test_so_it_is_in_a_gguf_file(tmp_path: Path) -> None:
    file = convert(with_value("model.norm.weight", BEYOND), tmp_path / "x.gguf")
    with pytest.raises(BadInput, match=r"x\.gguf: output_norm\.weight: .* beyond 65504"):
        load_decoder(file, "fp16", CPU)


def test_the_largest_number_of_fp16_is_held(tmp_path: Path) -> None:
    directory = save(with_value("model.norm.weight", 65504.0), tmp_path)
    model = Decoder(read_config(directory))
    loading.place(model, torch.float16, CPU)
    loading.fill_decoder(model, directory)
    assert model.final_norm.weight[5] == 65504 and not stays_in_range(model)


def loud() -> PreTrainedModel:
    """Every weight is small; what the MLPs' products make of them is not."""
    model = llama()
    for layer in model.model.layers:
        layer.mlp.up_proj.weight.data *= 3e3
        layer.mlp.gate_proj.weight.data *= 3e3
    return model


def test_activations_beyond_fp16_are_told(tmp_path: Path) -> None:
    directory = save(loud(), tmp_path)
    with pytest.raises(BadInput, match="activations go beyond 65504, where fp16 ends; use --base fp32, or nf4"):
        load_decoder(directory, "fp16", CPU)


def test_a_quantised_base_computes_such_a_model_in_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "auto_base", lambda *arguments: "fp16")
    quiet, directory, said = save(llama(), tmp_path / "quiet"), save(loud(), tmp_path / "loud"), []
    assert load_decoder(quiet, "nf4", CPU).dtype == torch.float16
    for _ in range(2):  # quantised, and from the cache
        model = load_decoder(directory, "nf4", CPU, lambda done, total, what: said.append(what))
        assert model.dtype == torch.float32 and model(torch.arange(20)[None]).isfinite().all()
        assert said[-1] == "computing in fp32: activations of loud go beyond 65504, where fp16 ends"
        merged = model.layers[0].attention.merged
        assert merged.side_by_side(torch.zeros(1, 48)) is not None, "rows of one matrix as before"
