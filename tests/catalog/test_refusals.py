"""What can never be opened is refused before its weights come, with the way round."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.hub_server import ID, LLAMA, SMALL, Hub, loralab, model_files, weights


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


def config(**more: object) -> bytes:
    return json.dumps(LLAMA | more).encode()


OWN_CODE = config(model_type="mystery", auto_map={"AutoModelForCausalLM": "modeling_mystery.Mystery"})
REFUSED = [
    (SMALL | {"pytorch_model.bin": b"\x80\x04"}, "only pickled weights, which can run code"),
    (SMALL | {"model-Q4.gguf": b"GGUF"}, "holds GGUF files only; use the model it was made from"),
    (SMALL | {"consolidated.safetensors": b""}, "laid out for another program"),
    (SMALL | {"onnx/model.onnx": b""}, "holds no weights in its top folder"),
    ({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, "is an adapter, not a model"),
    ({"model.safetensors": weights()}, "has no config.json"),
    (model_files() | {"config.json": OWN_CODE}, "runs on code of its own (auto_map), which is never executed here"),
    (model_files() | {"config.json": config(model_type="mystery")}, "architecture 'mystery' is not supported"),
    (model_files() | {"config.json": b"<html>"}, "is not a JSON object"),
]


@pytest.mark.parametrize(("files", "sentence"), REFUSED)
def test_it_is_refused_before_gigabytes_come(hub: Hub, tmp_path: Path, files: dict[str, bytes], sentence: str) -> None:
    hub.files = files
    done = loralab(tmp_path, hub.address, "models", "pull", ID)
    assert done.returncode == 2 and sentence in done.stderr
    assert not [one for one in hub.asked if one.path.endswith((".safetensors", ".bin", ".gguf", ".onnx"))]


def test_own_code_of_a_known_architecture_is_left_aside(hub: Hub, tmp_path: Path) -> None:
    """As Phi-3's repository has it: the code is there, nobody needs it."""
    hub.files = model_files() | {"config.json": config(auto_map={"AutoModel": "modeling.Model"}), "modeling.py": b"1/0"}
    done = loralab(tmp_path, hub.address, "models", "pull", ID)
    assert done.returncode == 0 and not hub.gets("modeling.py")


def test_training_on_a_hub_model_is_refused_before_its_weights_come(hub: Hub, tmp_path: Path, home: Path) -> None:
    hub.files = model_files() | {"config.json": OWN_CODE}
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("to be or not to be\n" * 10)
    done = loralab(tmp_path, hub.address, "train", "--model", ID, "--corpus", str(corpus))
    assert done.returncode == 2 and "code of its own" in done.stderr
    assert not hub.gets("model.safetensors") and not (home / "runs").exists()


def test_looking_at_data_brings_no_weights(hub: Hub, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("to be or not to be\n")
    loralab(tmp_path, hub.address, "data", "show", str(corpus), "--model", ID)
    assert hub.gets("tokenizer.json") and not hub.gets("model.safetensors")
