"""Opening a model directory: sharded or whole, exact, and a sentence for everything that is wrong with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loralab_core.architecture.counts import adapter_parameter_count, parameter_count
from loralab_core.architecture.families import read_config
from loralab_core.errors import BadInput
from loralab_core.models import load_decoder
from loralab_core.models.loading import fingerprint
from loralab_core.safetensors_file import stored_tensors
from tests.models.checkpoints import edit_config, llama, save
from tests.models.families import saved

CPU = torch.device("cpu")
HEADS = {"lm_head.weight", "embed_out.weight"}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "whole")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "sharded", max_shard_size="60KB")


def test_shards_and_one_file_give_the_same_model(whole: Path, sharded: Path) -> None:
    assert (sharded / INDEX).is_file() and len(list(sharded.glob("*.safetensors"))) > 2
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(load_decoder(whole, "fp32", CPU)(ids), load_decoder(sharded, "fp32", CPU)(ids))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_stored_in_half_the_bytes(dtype: torch.dtype, tmp_path: Path) -> None:
    model = llama().to(dtype)
    ours = load_decoder(save(model, tmp_path), "fp32", CPU)
    assert ours.dtype == torch.float32
    assert torch.equal(ours.layers[1].mlp.down.weight, model.model.layers[1].mlp.down_proj.weight.float())


def test_progress_counts_the_bytes(sharded: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    load_decoder(sharded, "fp32", CPU, lambda *report: seen.append(report))
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][0] == seen[-1][1] == sum(file.stat().st_size for file in sharded.glob("*.safetensors"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_peak_memory_is_the_model_and_one_tensor(tmp_path: Path) -> None:
    directory = save(llama(vocab_size=40_000, hidden_size=192, intermediate_size=60_000), tmp_path)  # 2 × 31, 6 × 46 MB
    tensors = load_file(directory / "model.safetensors").values()
    result = sum(tensor.numel() for tensor in tensors) * 2  # from float32 to bf16: every tensor goes through one copy
    largest = max(tensor.numel() for tensor in tensors) * 4  # as it is stored
    measured = subprocess.run(
        [sys.executable, "-c", GROWTH, str(directory)], check=True, capture_output=True, text=True
    )
    assert int(measured.stdout) < result + largest


GROWTH = """
import sys
from pathlib import Path
import torch
from loralab_core.models import load_decoder
def memory(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
before = memory("VmRSS")
load_decoder(Path(sys.argv[1]), "bf16", torch.device("cpu"))
print(memory("VmHWM") - before)
"""


def test_nothing_is_trainable_until_someone_says_so(whole: Path) -> None:
    assert not any(parameter.requires_grad for parameter in load_decoder(whole, "fp32", CPU).parameters())


def test_counts_match_what_is_loaded(whole: Path) -> None:
    model = load_decoder(whole, "fp32", CPU)
    assert parameter_count(model.config) == sum(parameter.numel() for parameter in model.parameters())
    assert adapter_parameter_count(model.config, 8) > 0


@pytest.mark.parametrize(
    ("name", "millions"), [("Llama-3.2-1B", 1235.8), ("TinyLlama-1.1B-Chat-v1.0", 1100.0), ("Mistral-7B-v0.1", 7241.7)]
)
def test_parameter_counts_of_known_models(name: str, millions: float, fixtures_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((fixtures_dir / "configs" / f"{name}.json").read_text())
    assert parameter_count(read_config(tmp_path)) / 1e6 == pytest.approx(millions, abs=0.1)


def test_the_fingerprint_knows_other_weights(whole: Path, sharded: Path) -> None:
    before = fingerprint(whole)
    assert before == fingerprint(whole) != fingerprint(sharded)
    edit_config(whole, rope_theta=5.0)
    assert fingerprint(whole) != before


@pytest.mark.parametrize("family", ("gpt2", "llama", "opt", "gpt_neox"))
def test_names_without_the_first_part_are_the_same_weights(family: str, tmp_path: Path) -> None:
    """As in the gpt2 repository itself, with its causal masks besides."""
    directory, _ = saved(family, 1 if family == "llama" else 0, tmp_path)
    ids = torch.arange(40)[None]
    expected = load_decoder(directory, "fp32", CPU)(ids)
    tensors = load_file(directory / "model.safetensors")
    short = {name if name in HEADS else name.partition(".")[2]: tensor for name, tensor in tensors.items()}
    save_file(short | {"h.0.attn.bias": torch.ones(1, 1, 9, 9)}, directory / "model.safetensors")
    assert short.keys().isdisjoint(tensors.keys() - HEADS)
    assert torch.equal(load_decoder(directory, "fp32", CPU)(ids), expected)


def test_a_head_besides_a_tied_one_is_the_same_or_refused(tmp_path: Path) -> None:
    """Nothing says which of the two answers were trained for; the reference unties them, its older releases do not."""
    directory = save(llama(tie_word_embeddings=True), tmp_path)
    tensors = load_file(directory / "model.safetensors")
    head = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, directory / "model.safetensors")
    assert load_decoder(directory, "bf16", CPU).config.tied_head
    save_file(tensors | {"lm_head.weight": head + 0.01}, directory / "model.safetensors")
    refused(directory, "lm_head.weight", "tie_word_embeddings")
    edit_config(directory, tie_word_embeddings=False)
    assert torch.equal(load_decoder(directory, "fp32", CPU).head.weight, head + 0.01)


def refused(directory: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_decoder(directory, "fp32", CPU)
    sentence = str(raised.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_truncated_file_is_named(whole: Path) -> None:
    file = whole / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    refused(whole, str(file), "download")


def test_a_file_that_shrinks_while_it_is_read_is_named(whole: Path) -> None:
    stored = stored_tensors(whole / "model.safetensors")
    first = next(stored)
    (whole / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="cut short"):
        first.read()


def test_every_stored_precision_is_read_as_the_library_reads_it(tmp_path: Path) -> None:
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int8, torch.uint8, torch.int64]
    tensors = {f"{kind}": torch.randn(3, 5, dtype=torch.float32).mul(9).to(kind) for kind in kinds}
    tensors["empty"], tensors["scalar"], tensors["bool"] = torch.empty(0, 4), torch.tensor(2.5), torch.tensor([True])
    save_file(tensors, tmp_path / "all.safetensors")
    read = {stored.name: stored.read() for stored in stored_tensors(tmp_path / "all.safetensors")}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape
        assert bytes(read[name].reshape(-1).view(torch.uint8)) == bytes(tensor.reshape(-1).view(torch.uint8)), name


def test_a_corrupt_header_is_named(whole: Path) -> None:
    file = whole / "model.safetensors"
    file.write_bytes(b"\xff" * 8 + file.read_bytes()[8:])
    refused(whole, str(file))


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    refused(sharded, str(shard), INDEX)


def test_an_index_that_points_outside_is_refused(sharded: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../elsewhere.safetensors")
    (sharded / INDEX).write_text(json.dumps(index))
    refused(sharded, "outside")


def test_weights_of_another_shape_are_refused(whole: Path) -> None:
    edit_config(whole, intermediate_size=88)
    refused(whole, "mlp", "88", "config.json")


def test_a_missing_tensor_is_named(whole: Path) -> None:
    tensors = load_file(whole / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, whole / "model.safetensors")
    refused(whole, "model.layers.1.mlp.up_proj.weight")


def test_pickled_weights_are_never_opened(whole: Path) -> None:
    (whole / "model.safetensors").rename(whole / "pytorch_model.bin")
    refused(whole, "safetensors")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"hidden_size": "many"}, "hidden_size"),
        ({"hidden_act": "relu6"}, "relu6"),
        ({"num_key_value_heads": 4}, "heads"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"quantization_config": {"quant_method": "gptq"}}, "GPTQ"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused_by_name(
    whole: Path, changes: dict[str, object], word: str
) -> None:
    edit_config(whole, **changes)
    refused(whole, word, str(whole / "config.json"))


def test_a_config_that_is_not_json(whole: Path) -> None:
    (whole / "config.json").write_text("{")
    refused(whole, str(whole / "config.json"))


def test_not_a_model_directory(tmp_path: Path) -> None:
    refused(tmp_path, "config.json")
    refused(tmp_path / "nothing", "not a directory")
