"""A model in our own quantised file opens as what it is stored as, and dense as what its codes stand for."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from loralab_core.architecture.families import stored_base
from loralab_core.catalog.pocket import POCKET
from loralab_core.cli.checks import resolve_place
from loralab_core.errors import BadInput
from loralab_core.hardware.devices import may_have_kernels, resolve_base
from loralab_core.models import load_decoder
from loralab_core.paths import quantised_dir
from loralab_core.quant import QuantTensor, load_quantized, save_quantized
from loralab_core.quant.file import Held
from loralab_core.runs.config import config_from
from recipes.pocket.finish import write_dense

CPU = torch.device("cpu")
QUERY = "model.layers.3.self_attn.q_proj.weight"


def held() -> dict[str, Held]:
    return load_quantized(POCKET / "model.safetensors")


def ids() -> torch.Tensor:
    return torch.randint(2048, (2, 40), generator=torch.Generator().manual_seed(0))


def test_its_own_base_takes_the_codes_as_they_are_and_keeps_no_copy() -> None:
    model = load_decoder(POCKET, "nf4", CPU)
    taken, stored = model.layers[3].attention.query.weight, held()[QUERY]
    assert isinstance(taken, QuantTensor) and isinstance(stored, QuantTensor)
    assert all(torch.equal(part, stored.tensors()[name]) for name, part in taken.tensors().items())
    assert model.head.weight is model.embedding.weight
    assert not list(quantised_dir().glob("*"))


@pytest.mark.parametrize(("base", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_dense_base_is_what_the_codes_stand_for(base: str, dtype: torch.dtype) -> None:
    model, stored = load_decoder(POCKET, base, CPU), held()[QUERY]
    assert isinstance(stored, QuantTensor)
    assert torch.equal(model.layers[3].attention.query.weight, stored.dequantize().to(dtype))


@pytest.mark.parametrize("base", ["int4", "int8"])
def test_another_quantised_base_is_made_of_them(base: str) -> None:
    weight = load_decoder(POCKET, base, CPU).layers[3].attention.query.weight
    assert isinstance(weight, QuantTensor) and weight.kind == base


def test_a_dense_copy_is_the_same_model_for_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    write_dense(tmp_path / "dense")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "dense", dtype=torch.float32)
    with torch.no_grad():
        wanted = theirs(ids()).logits
        for base in ("fp32", "nf4"):
            torch.testing.assert_close(load_decoder(POCKET, base, CPU)(ids()), wanted, rtol=1e-3, atol=1e-3)


def test_auto_is_what_it_is_stored_as_where_that_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored_base(POCKET) == "nf4"
    monkeypatch.setenv("LORALAB_NATIVE", "0")
    assert resolve_base("auto", "cpu", 3_000_000, "nf4") == "fp32"
    monkeypatch.delenv("LORALAB_NATIVE")
    assert resolve_base("auto", "cpu", 3_000_000, "nf4") == ("nf4" if may_have_kernels() else "fp32")
    assert resolve_base("bf16", "cpu", 3_000_000, "nf4") == "bf16"


def test_all_weights_are_trained_dense() -> None:
    asked = config_from({"model": str(POCKET), "corpus": [], "mode": "full", "device": "cpu"})
    assert resolve_place(asked, POCKET).base == "fp32"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POCKET, tmp_path / "copy"))


@pytest.mark.parametrize("base", ["nf4", "fp32"])
def test_a_damaged_file_is_named(copy: Path, base: str) -> None:
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1000] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="model.safetensors"):
        load_decoder(copy, base, CPU)


def test_a_tensor_that_is_missing(copy: Path) -> None:
    save_quantized(copy / "model.safetensors", {name: each for name, each in held().items() if name != QUERY})
    with pytest.raises(BadInput, match="do not match config.json"):
        load_decoder(copy, "nf4", CPU)


def test_a_base_that_is_unknown(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["quantization_config"]["base"] = "nf3"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="nf4 or int4 or int8"):
        load_decoder(copy, "nf4", CPU)
