"""A model in a GGUF file computes what it computes as transformers saved it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from loralab_core.architecture.families import read_config
from loralab_core.architecture.fields import Fields
from loralab_core.architecture.gguf_rope import rope
from loralab_core.architecture.rope_fields import rope as stated_rope
from loralab_core.errors import BadInput
from loralab_core.gguf import GGUFFile
from loralab_core.models import load_decoder
from loralab_core.models.loading import fingerprint
from tests.gguf.converting import convert
from tests.gguf.writer import BLOCK_SIZES, Written, meaning, random_blocks, stored
from tests.models.checkpoints import SHAPE, llama, logit_error, shaken
from tests.models.families import FAMILIES, ids_for
from tests.models.families import make as shapes

CPU = torch.device("cpu")
CASES = [  # shapes whose every setting a GGUF file can state
    *(("llama", number) for number in (0, 1, 2)),
    *(("mistral", number) for number in (0, 1)),
    *((name, number) for name in ("qwen2", "qwen3") for number in (0, 1)),
    *(("gemma", number) for number in (0, 1)),
    ("qwen2", 3),
    ("gemma2", 0),
    *(("gemma3", number) for number in (0, 1, 2)),
    *((name, number) for name in ("phi", "phi3", "olmo2", "granite") for number in (0, 1)),
    ("phi3", 2),
    *(("gpt2", number) for number in (0, 2)),
    *(("gpt_neox", number) for number in (0, 1)),
    *(("mixtral", number) for number in (0, 2)),
    ("qwen3_moe", 0),
]
OF_ONE_HEAD = {"gemma2", "gemma3"}  # the files do not state the scale of the scores; it follows from a head's size


@pytest.mark.parametrize(("family", "number"), CASES)
def test_every_architecture_computes_the_same(family: str, number: int, tmp_path: Path) -> None:
    theirs = FAMILIES[family][number]()
    if family in OF_ONE_HEAD:
        theirs.config.query_pre_attn_scalar = theirs.config.head_dim
        theirs = shaken(type(theirs)._from_config(theirs.config))
    ours = load_decoder(convert(theirs, tmp_path / "x.gguf"), "fp32", CPU)
    ids = ids_for(97)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-4


@pytest.mark.parametrize(
    ("family", "whole"), [("gpt_neox", {"rotary_pct": 1.0}), ("phi", {"partial_rotary_factor": 1.0})]
)
def test_heads_that_turn_whole_where_the_family_turns_a_share(
    family: str, whole: dict[str, float], tmp_path: Path
) -> None:
    (make,) = shapes({"gpt_neox": "GPTNeoX", "phi": "Phi"}[family], whole)
    theirs, ids = make(), ids_for(97)
    ours = load_decoder(convert(theirs, tmp_path / "x.gguf"), "fp32", CPU)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-4


def test_yarn_with_numbers_of_its_own_is_not_read_by_guessing() -> None:
    stated = {"x.rope.scaling.type": "yarn", "x.rope.scaling.factor": 4.0, "x.rope.scaling.yarn_beta_fast": 16.0}
    found = rope(GGUFFile(Path("x.gguf"), stated, {}), 16, "x")
    with pytest.raises(BadInput, match=r"yarn with scaling.yarn_beta_fast' is not supported"):
        stated_rope(Fields(found, "x.gguf"), 16)


def test_layers_without_rotary_positions(tmp_path: Path) -> None:
    """Every fourth, which the files do not state either."""
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    theirs = shaken(SmolLM3ForCausalLM(SmolLM3Config(**SHAPE | ends | {"num_hidden_layers": 5})))
    ours = load_decoder(convert(theirs, tmp_path / "x.gguf"), "fp32", CPU)
    ids = ids_for(97)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-4


@pytest.mark.parametrize("base", ["fp32", "bf16"])
def test_the_real_file_and_the_same_model_as_safetensors(base: str, fixtures_dir: Path) -> None:
    models = fixtures_dir / "models"
    ours, theirs = (load_decoder(models / name, base, CPU) for name in ("stories260K.gguf", "stories260K"))
    assert not ours.config.tied_head and theirs.config.tied_head  # the file has its own copy of the head
    ids = ids_for(512)
    with torch.no_grad():
        assert torch.equal(ours(ids), theirs(ids))


WIDE = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 8, "num_key_value_heads": 4}


@pytest.mark.parametrize("kind", ["F16", "BF16", *BLOCK_SIZES])
def test_quantised_matrices(kind: str, tmp_path: Path) -> None:
    """The model is the one that has the dequantised values as its weights, permuted rows included."""

    def quantise(array: np.ndarray, name: str) -> Written:
        return random_blocks(kind, array.shape, len(name)) if kind in BLOCK_SIZES else stored(array, kind)

    def dequantised(array: np.ndarray, name: str) -> Written:
        return stored(np.array(meaning(quantise(array, name))).reshape(array.shape))

    model = llama(**WIDE)
    found, plain = (convert(model, tmp_path / f"{each.__name__}.gguf", each) for each in (quantise, dequantised))
    ids = ids_for(97)
    with torch.no_grad():
        logits = [load_decoder(path, "fp32", CPU)(ids) for path in (found, plain)]
    assert logit_error(*logits) < 1e-5


def test_progress_reaches_the_size_of_the_file(tmp_path: Path) -> None:
    path = convert(llama(), tmp_path / "x.gguf")
    seen: list[tuple[int, int, str]] = []
    load_decoder(path, "fp32", CPU, lambda *report: seen.append(report))
    assert len(seen) > 20 and seen[-1][0] == seen[-1][1] == path.stat().st_size
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_the_fingerprint_knows_other_weights(tmp_path: Path) -> None:
    path = convert(llama(), tmp_path / "x.gguf")
    before = fingerprint(path)
    assert before == fingerprint(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert fingerprint(path) != before


def refused(path: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_decoder(path, "fp32", CPU)
    sentence = str(raised.value)
    assert str(path) in sentence and "\n" not in sentence
    for word in words:
        assert word in sentence


def edited(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert len(old) == len(new) and old in content
    path.write_bytes(content.replace(old, new))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return convert(llama(), tmp_path / "x.gguf")


def test_an_architecture_that_is_not_known(small: Path) -> None:
    refused(edited(small, b"\0llama", b"\0mamba"), "mamba", "known", "qwen3")


def test_a_tensor_that_is_missing_and_one_that_is_unknown(small: Path) -> None:
    refused(edited(small, b"blk.1.ffn_up", b"blk.7.ffn_up"), "lacks", "blk.1.ffn_up.weight")


def test_a_part_the_decoder_does_not_have(tmp_path: Path) -> None:
    """Passed over, the model would answer nonsense."""
    path = convert(llama(), tmp_path / "x.gguf", extra={"blk.0.attn_sinks.weight": stored(np.ones(6))})
    refused(path, "blk.0.attn_sinks.weight")


def test_metadata_that_does_not_fit_its_tensors(small: Path) -> None:
    key = b"llama.feed_forward_length" + b"\5\0\0\0"
    refused(edited(small, key + b"\x50", key + b"\x60"), "ffn", "80", "96")


def test_a_directory_that_only_holds_gguf_files_names_one(small: Path) -> None:
    with pytest.raises(BadInput, match=str(small)):
        read_config(small.parent)
