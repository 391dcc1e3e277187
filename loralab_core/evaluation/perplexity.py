"""Perplexity of a model on a corpus: non-overlapping windows, natural log, mean over the trained tokens."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.loss import evaluate_windows
from loralab_core.paths import cache_dir
from loralab_core.text.dataset import prepare
from loralab_core.text.packing import Windows, pack

MICRO_TOKENS = 2048  # tokens of one forward pass


@dataclass(frozen=True)
class Perplexity:
    loss: float  # mean negative log-likelihood, nats a token
    tokens: int  # that were predicted

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss) if self.loss < 700 else math.inf


def corpus_windows(
    lm: LoadedModel,
    corpus: Sequence[str],
    seq_len: int | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Windows:
    """All of the corpus in windows of `seq_len` (512, or the model's context where shorter). Raises BadInput."""
    length = lm.window(seq_len)
    prepared = prepare(corpus, lm.text(), seq_len=length, val=0.0, cache=cache_dir(), progress=progress)
    return pack(prepared.train, length)


def perplexity(
    lm: LoadedModel, windows: Windows, adapter: Adapter | None, progress: Callable[[int, int], None] | None = None
) -> Perplexity:
    """Of the base with `adapter` (None: the base alone). `progress(done, total)` counts windows."""
    total, count, micro = 0.0, 0, max(1, MICRO_TOKENS // windows.seq_len)
    with lm.using(adapter):
        for number, (loss, tokens) in enumerate(evaluate_windows(lm.model, windows, np.arange(len(windows)), micro)):
            total, count = total + loss, count + tokens
            if progress:
                progress(min((number + 1) * micro, len(windows)), len(windows))
    return Perplexity(total / max(1, count), count)
