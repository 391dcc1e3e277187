"""A base in 4 or 8 bits is the dense model of the weights that its own stand for, whatever file it is read from."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loralab_core.errors import BadInput
from loralab_core.models import Decoder, load_decoder
from loralab_core.models.naming import stored_as
from loralab_core.models.parts import Matrix
from loralab_core.paths import quantised_dir
from loralab_core.planning.footprint import figures_of, weight_bytes
from loralab_core.quant import QuantTensor, quantize
from loralab_core.quant.tensor import Kind
from tests.models.checkpoints import llama, save
from tests.models.families import ids_for, saved
from tests.models.test_loading import GROWTH

CPU = torch.device("cpu")
FAMILIES = ("llama", "gpt2", "gpt_neox", "phi3", "gemma3", "opt", "mixtral", "qwen3_moe")


def dense_twin(model: Decoder, directory: Path, place: Path) -> Path:
    """The same checkpoint with the weights that the quantised ones stand for."""
    shutil.copytree(directory, place)
    tensors = load_file(place / "model.safetensors")
    for path, module in model.named_modules():
        if not isinstance(module, Matrix) or (module is model.head and model.config.tied_head):
            continue
        for number, matrix in module.quantised().items():
            dense = matrix.dequantize()
            stack = isinstance(module.weight, dict)
            named = stored_as(model.config, f"{path}.weight", dense[None] if stack else dense, number)
            assert named.keys() <= tensors.keys()
            tensors |= {name: tensor.contiguous().clone() for name, tensor in named.items()}
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


@pytest.mark.parametrize("base", ["nf4", "int4", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str, base: str, tmp_path: Path) -> None:
    directory, _ = saved(family, 0, tmp_path / "source")
    model = load_decoder(directory, base, CPU)
    ids = ids_for(97)
    twin = load_decoder(dense_twin(model, directory, tmp_path / "twin"), "fp32", CPU)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), twin(ids), rtol=1e-4, atol=1e-4)
        read_again = load_decoder(directory, base, CPU)
        assert torch.equal(read_again(ids), model(ids))


@pytest.mark.parametrize("kind", ["nf4", "int4"])
def test_a_fitted_base_is_closer_and_kept_apart(kind: Kind, tmp_path: Path) -> None:
    directory = save(llama(), tmp_path)
    dense = load_file(directory / "model.safetensors")["model.layers.0.mlp.down_proj.weight"]
    for _ in ("quantised", "read from what was kept"):
        nearest, fitted = (load_decoder(directory, base, CPU) for base in (kind, f"{kind}-fitted"))
        for model, method in ((nearest, "nearest"), (fitted, "fitted")):
            (held,) = model.layers[0].mlp.down.quantised().values()
            assert torch.equal(held.codes, quantize(dense, kind, method=method).codes)
    errors = [(each.layers[0].mlp.down.quantised()[0].dequantize() - dense).norm() for each in (nearest, fitted)]
    assert errors[1] < 0.95 * errors[0]


def test_what_is_quantised_and_what_is_not(tmp_path: Path) -> None:
    directory, _ = saved("mixtral", 0, tmp_path / "source")
    model = load_decoder(directory, "nf4", CPU)
    kinds = {
        path: {each.kind for each in module.quantised().values()}
        for path, module in model.named_modules()
        if isinstance(module, Matrix)
    }
    assert kinds["embedding"] == kinds["head"] == {"int8"}
    assert kinds["layers.0.attention.query"] == kinds["layers.1.mlp.gate_up"] == kinds["layers.1.mlp.down"] == {"nf4"}
    assert kinds["layers.0.mlp.router"] == set()
    left = {name.rpartition(".")[0].rpartition(".")[2] for name, _ in model.named_parameters()}
    assert left == {"attention_norm", "mlp_norm", "final_norm", "router"}


def test_a_tied_head_is_the_embedding(tmp_path: Path) -> None:
    directory = save(llama(tie_word_embeddings=True), tmp_path)
    for _ in ("quantised", "read from what was kept"):
        model = load_decoder(directory, "nf4", CPU)
        assert isinstance(model.head.weight, QuantTensor) and model.head.weight is model.embedding.weight
    tensors = load_file(directory / "model.safetensors")
    head = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, directory / "model.safetensors", metadata={"format": "pt"})
    load_decoder(directory, "nf4", CPU)
    save_file(tensors | {"lm_head.weight": head + 0.01}, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="tie_word_embeddings"):
        load_decoder(directory, "nf4", CPU)


@pytest.mark.parametrize("base", ["nf4", "int4", "int8"])
@pytest.mark.parametrize("tied", [True, False])
def test_it_takes_what_was_foretold(base: str, tied: bool, tmp_path: Path) -> None:
    shape = {"vocab_size": 3000, "hidden_size": 384, "intermediate_size": 1024, "tie_word_embeddings": tied}
    model = load_decoder(save(llama(**shape), tmp_path), base, CPU)
    held = {id(each): each for part in matrices(model) for each in part.quantised().values()}
    size = sum(each.nbytes for each in [*held.values(), *model.parameters()])
    assert size == pytest.approx(weight_bytes(figures_of(model.config), base), rel=0.02)
    layers = [each for part in matrices(model.layers) for each in part.quantised().values()]
    assert sum(each.nbytes for each in layers) < (1.02 if base == "int8" else 0.53) * sum(
        each.shape[0] * each.shape[1] for each in layers
    )


def matrices(part: torch.nn.Module) -> list[Matrix]:
    return [module for module in part.modules() if isinstance(module, Matrix)]


def test_moving_it_keeps_its_types(tmp_path: Path) -> None:
    model = load_decoder(save(llama(), tmp_path), "nf4", CPU)
    kept = model.layers[0].mlp.up.weight.tensors()  # type: ignore[union-attr]
    moved = model.to("meta", torch.bfloat16)
    now = moved.layers[0].mlp.up.weight.tensors()  # type: ignore[union-attr]
    assert {name: tensor.dtype for name, tensor in now.items()} == {name: each.dtype for name, each in kept.items()}
    assert moved.device.type == now["codes"].device.type == moved.embedding.weight.device.type == "meta"
    assert moved.dtype == torch.bfloat16


def test_gguf_gives_the_same_as_its_model(fixtures_dir: Path) -> None:
    models, ids = fixtures_dir / "models", ids_for(97)
    ours, theirs = (load_decoder(models / name, "nf4", CPU) for name in ("stories260K.gguf", "stories260K"))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids), rtol=1e-5, atol=1e-5)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    directory = save(llama(), tmp_path)
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.inf
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"model\.safetensors: model\.layers\.1\.mlp\.up_proj\.weight: .*infinite"):
        load_decoder(directory, "nf4", CPU)


# ---- what is kept on disk


def kept() -> list[Path]:
    return sorted(quantised_dir().iterdir()) if quantised_dir().is_dir() else []


def told(directory: Path, base: str = "nf4") -> set[str]:
    seen: list[tuple[int, int, str]] = []
    load_decoder(directory, base, CPU, lambda *report: seen.append(report))
    assert seen[-1][0] == seen[-1][1] and all(done <= total for done, total, _ in seen)
    return {what for _, _, what in seen}


def test_the_second_time_it_is_read(tmp_path: Path) -> None:
    directory = save(llama(), tmp_path)
    assert "quantising the model to nf4" in told(directory)
    assert told(directory) == {"reading the model in nf4", "ready"}
    assert "quantising the model to int8" in told(directory, "int8")
    assert len(kept()) == 2


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    directory = save(llama(), tmp_path)
    told(directory)
    tensors = load_file(directory / "model.safetensors")
    save_file({name: each + 1 for name, each in tensors.items()}, directory / "model.safetensors")
    assert "quantising the model to nf4" in told(directory)


@pytest.mark.parametrize("damage", ["cut", "flipped", "another"])
def test_what_is_damaged_is_made_anew(damage: str, tmp_path: Path) -> None:
    directory, ids = save(llama(), tmp_path / "one"), ids_for(97)
    with torch.no_grad():
        expected = load_decoder(directory, "nf4", CPU)(ids)
        (file,) = kept()
        raw = bytearray(file.read_bytes())
        if damage == "another":
            told(save(llama(intermediate_size=96), tmp_path / "two"))
            (other,) = set(kept()) - {file}
            raw = bytearray(other.read_bytes())
        elif damage == "cut":
            del raw[-10:]
        else:
            raw[-1] ^= 1
        file.write_bytes(raw)
        assert any("damaged" in what for what in told(directory))
        assert told(directory) == {"reading the model in nf4", "ready"}
        assert torch.equal(load_decoder(directory, "nf4", CPU)(ids), expected)


def test_a_place_that_cannot_be_written_only_costs_the_next_time(home: Path, tmp_path: Path) -> None:
    directory = save(llama(), tmp_path)
    (home / "cache").write_text("a file where the directory belongs")
    assert any("not kept on disk" in what for what in told(directory))


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_peak_memory_is_the_result_and_one_tensor(tmp_path: Path) -> None:
    directory = save(llama(vocab_size=40_000, hidden_size=192, intermediate_size=60_000).bfloat16(), tmp_path)
    tensors = load_file(directory / "model.safetensors").values()
    result = sum(tensor.numel() * (1 if 40_000 in tensor.shape else 0.516) for tensor in tensors)
    largest = max(tensor.numel() for tensor in tensors) * 2
    program = GROWTH.replace('"bf16"', '"nf4"')
    for _ in ("quantised", "read from what was kept"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(directory)], check=True, capture_output=True, text=True
        )
        assert int(done.stdout) < result + largest + SCRATCH


SCRATCH = 40 << 20  # slabs, and what imports and allocators take the first time
