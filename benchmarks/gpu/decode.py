"""Tokens of one answer: ours on NF4 against transformers on bf16, and against reading the weights."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import peers
from benchmarks.gpu.box import bandwidth, copy
from benchmarks.gpu.models import random_model, weight_bytes
from benchmarks.gpu.rows import figure, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.timing import race
from benchmarks.parts import Row
from loralab_core.device_memory import give_back
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.inference.reader import Reader
from loralab_core.lora.loaded import LoadedModel

PROMPT = list(range(5, 21))
ROUNDS = 3  # the best counts: a token waits for the host's smallest delays


def measure(name: str, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    config, judged = sizes.config(name), name == "qwen3-8b"
    ours, nbytes = _measured(config, device, sizes)
    give_back(device)
    yield figure("nf4, one answer", ours, "tokens/s", nbytes=nbytes)
    copied = race({"copy": [copy(device, sizes.copied)]}, device, sizes.seconds)["copy"].median
    share = ours * nbytes / 1e9 / bandwidth(copied, sizes.copied)
    yield figure("nf4: reading the weights, of the copy", share, reach=0.8 if judged else None)
    label, must = "nf4 against transformers bf16", 2.0 if judged else None
    try:
        theirs = tokens_per_s(lambda: peers.tokens(config, device, PROMPT), sizes, rounds=1)
    except Exception as error:
        yield gap(label, "out of memory" if is_out_of_memory(error) else peers.reason(error), must=must)
        return
    yield figure("transformers bf16, one answer", theirs, "tokens/s")
    yield figure(label, ours / theirs, "×", must=must)


def _measured(config: dict[str, Any], device: torch.device, sizes: Sizes) -> tuple[float, int]:
    """Tokens per second, and the bytes that each of them reads."""
    lm = random_model(config, "nf4", device)
    return tokens_per_s(partial(_ours, lm), sizes), weight_bytes(lm.model)


def tokens_per_s(begin: Callable[[], Iterator[Any]], sizes: Sizes, rounds: int = ROUNDS) -> float:
    """Behind the first few tokens, for which the prompt is read and everything wakes up."""
    best = 0.0
    for _ in range(rounds):
        drawn = begin()
        for _ in range(sizes.warm_up):
            next(drawn)
        began = time.perf_counter()
        for _ in range(sizes.tokens):
            next(drawn)  # an int: the device has finished
        best = max(best, sizes.tokens / (time.perf_counter() - began))
    return best


def _ours(lm: LoadedModel) -> Iterator[int]:
    reader = Reader(lm, [PROMPT])
    while True:
        token = int(reader.logits().argmax())
        reader.add([token])
        yield token
