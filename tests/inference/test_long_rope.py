"""Answers that grow past the first of longrope's two lists are the reference's, which then reads everything anew."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedModel

from loralab_core.catalog.pocket import POCKET
from loralab_core.inference.batch import answer_together
from loralab_core.inference.generate import Answer
from loralab_core.lora import LoadedModel, load
from loralab_core.wire.messages import Sampling
from tests.models.checkpoints import SHAPE, save, shaken
from tests.models.families import LONG_ROPE

PROMPT, SAID = list(range(40, 60)), 30  # 50 tokens; the first list is for 32
PATIENT = Sampling(temperature=0.0, max_new_tokens=SAID)


@pytest.fixture
def theirs() -> PreTrainedModel:
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    rope = {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 32}
    return shaken(Phi3ForCausalLM(Phi3Config(**SHAPE | ends | rope | {"vocab_size": 4096})))


@pytest.fixture
def ours(theirs: PreTrainedModel, tmp_path: Path) -> LoadedModel:
    for file in POCKET.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    return load(save(theirs, tmp_path), "fp32", "cpu")


def test_one_answer(ours: LoadedModel, theirs: PreTrainedModel) -> None:
    ids = torch.tensor([PROMPT])
    how = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=SAID, **how)[0, len(PROMPT) :]
    answer = Answer(ours, PROMPT, PATIENT)
    list(answer.pieces())
    assert answer.tokens == expected.tolist() and len(set(answer.tokens)) > 5


def test_several_together(ours: LoadedModel) -> None:
    prompts, alone = [PROMPT, PROMPT[::-1]], []
    for prompt in prompts:
        answer = Answer(ours, prompt, PATIENT)
        list(answer.pieces())
        alone.append(answer.text)
    assert answer_together(ours, prompts, PATIENT) == alone
