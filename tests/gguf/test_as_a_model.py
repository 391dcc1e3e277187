"""A GGUF file is a base model like any other: opened, trained on, answered from."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import loralab_core as ll
from loralab_core.catalog.hub import resolve_model
from loralab_core.cli.main import main
from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.lora import LoadedModel
from loralab_core.runs.directory import create_run
from loralab_core.training import Training
from loralab_core.wire.messages import Sampling
from tests.gguf.writer import Written, stored, write
from tests.training.small_runs import adapter_bytes, losses, small

SPARE = 16 << 20  # the pieces, and what the allocator keeps
BEGIN = "Once upon a time"


@pytest.fixture
def file(fixtures_dir: Path) -> Path:
    return fixtures_dir / "models" / "stories260K.gguf"


def said(lm: LoadedModel) -> str:
    answer = Answer(lm, prompt_ids(lm, prompt=BEGIN), Sampling(temperature=0.0, max_new_tokens=40))
    return "".join(answer.pieces())


def test_it_says_what_the_same_model_says(file: Path, fixtures_dir: Path) -> None:
    for base in ("fp32", "bf16"):
        assert said(ll.load(file, base, "cpu")) == said(ll.load(fixtures_dir / "models" / "stories260K", base, "cpu"))


def test_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["generate", "--model", str(file), "--prompt", BEGIN, "--greedy", "--json", "--base", "fp32"]
    assert main([*asked, "--max-new-tokens", "12"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["new_tokens"] == 12 and answer["text"].startswith(", there was")


def trained(fixtures: Path, **changes: object) -> list[dict[str, object]]:
    config = small(fixtures, **changes)
    return list(Training(create_run(config), ll.load(config.model, "fp32", "cpu")).events())


def test_an_adapter_is_the_one_that_the_same_model_gives(file: Path, fixtures_dir: Path) -> None:
    ours, theirs = (trained(fixtures_dir, steps=3, **changes) for changes in ({"model": str(file)}, {}))
    assert losses(ours) == losses(theirs)
    assert adapter_bytes(ours[-1]) == adapter_bytes(theirs[-1])


def test_all_weights_become_a_model_directory_with_its_tokenizer(file: Path, fixtures_dir: Path) -> None:
    done = trained(fixtures_dir, steps=3, model=str(file), mode="full", lr=1e-4)[-1]
    before, after = ll.load(file, "fp32", "cpu"), ll.load(str(done["model"]), "fp32", "cpu")
    assert after.model.config == before.model.config
    assert after.text().encode(BEGIN) == before.text().encode(BEGIN)
    assert (after.text().eos_ids, after.text().bos_id) == (before.text().eos_ids, before.text().bos_id)
    assert said(after)


def test_any_other_file_is_no_model(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"x")
    with pytest.raises(BadInput, match="directory it lies in"):
        resolve_model(str(other))
    false = tmp_path / "x.gguf"
    false.write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match="not a GGUF file"):
        ll.load(false)


def test_metadata_that_lacks_a_part_names_it(tmp_path: Path) -> None:
    table = {"token_embd.weight": stored(np.zeros((3, 4)))}
    with pytest.raises(BadInput, match="embedding_length"):
        ll.load(write(tmp_path / "x.gguf", {"general.architecture": "llama"}, table))


def test_a_model_without_a_tokenizer_says_so_when_text_is_wanted(tmp_path: Path) -> None:
    lm = ll.load(large(tmp_path / "x.gguf", width=32, inner=32, layers=1, vocabulary=8), "fp32", "cpu")
    with pytest.raises(BadInput, match="has no tokenizer"):
        lm.text()


PEAK = """
import sys
from pathlib import Path
import torch
from loralab_core.models import load_decoder
from loralab_core.gguf import read_gguf
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
path = Path(sys.argv[1])
read_gguf(path)
before = peak()
model = load_decoder(path, "bf16", torch.device("cpu"))
size = sum(parameter.numel() * 2 for parameter in model.parameters())
largest = max(parameter.numel() * 2 for parameter in model.parameters())
print(peak() - before, size, largest)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_peak_memory_is_the_model_and_one_tensor(tmp_path: Path) -> None:
    path = large(tmp_path / "x.gguf", width=512, inner=2048, layers=6, vocabulary=20000)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    peak, size, largest = map(int, done.stdout.split())
    assert size < peak < size + largest + SPARE


def large(path: Path, width: int, inner: int, layers: int, vocabulary: int) -> Path:
    """A Llama of nothing but zeros."""

    def matrix(rows: int, columns: int) -> Written:
        return "Q8_0", (rows, columns), bytes(rows * columns // 32 * 34)

    gain = stored(np.zeros(width))
    tensors = {"token_embd.weight": matrix(vocabulary, width), "output_norm.weight": gain}
    for layer in range(layers):
        own = {f"attn_{part}": matrix(width, width) for part in ("q", "k", "v", "output")}
        own |= {"ffn_gate": matrix(inner, width), "ffn_up": matrix(inner, width), "ffn_down": matrix(width, inner)}
        own |= {"attn_norm": gain, "ffn_norm": gain}
        tensors |= {f"blk.{layer}.{name}.weight": tensor for name, tensor in own.items()}
    sizes = {"embedding_length": width, "feed_forward_length": inner, "block_count": layers, "attention.head_count": 8}
    metadata = {f"llama.{key}": value for key, value in sizes.items()}
    return write(path, {"general.architecture": "llama"} | metadata, tensors)
