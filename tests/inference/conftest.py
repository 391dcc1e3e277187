"""A small model that writes English, and one whose tokens a test chooses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

import loralab_core as ll
from loralab_core.inference.generate import Answer
from loralab_core.lora import LoadedModel
from loralab_core.wire.messages import Sampling

Say = Callable[..., tuple[Answer, list[str]]]


@pytest.fixture(scope="session")
def lm(fixtures_dir: Path) -> LoadedModel:
    return ll.load(fixtures_dir / "models" / "stories3M", "fp32", "cpu")


@pytest.fixture
def say(lm: LoadedModel) -> Say:
    """An answer that draws the tokens given (as many as it takes), and its pieces."""

    def said(tokens: Sequence[int], **how: object) -> tuple[Answer, list[str]]:
        answer, vocabulary = Answer(lm, [1], Sampling(**how)), lm.model.config.vocab_size  # type: ignore[arg-type]
        pieces = []
        for token in tokens:
            if answer.ended:
                break
            pieces.append(answer.take(torch.nn.functional.one_hot(torch.tensor(token), vocabulary).float()))
        return answer, pieces

    return said
