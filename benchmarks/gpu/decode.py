"""Tokens of one answer: ours on NF4 against transformers on 16 bits, and against reading the weights."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import peers
from benchmarks.gpu.box import bandwidth, copy
from benchmarks.gpu.half import name_of
from benchmarks.gpu.models import random_model, weight_bytes
from benchmarks.gpu.profile import in_words, where_time_goes
from benchmarks.gpu.rows import figure, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.timing import race
from benchmarks.gpu.training import NO_GRAPHS
from benchmarks.parts import Row
from loralab_core.device_memory import give_back
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.inference.captured import AS_WRITTEN
from loralab_core.inference.reader import Reader
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops.graphs import recorder

PROMPT = list(range(5, 21))
ROUNDS = 3  # the best counts: a token waits for the host's smallest delays


def measure(name: str, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """NF4 eager and captured, then transformers on 16 bits; the better one of ours counts."""
    config, judged, ours = sizes.config(name), name == "qwen3-8b", 0.0
    lm = random_model(config, "nf4", device)
    nbytes = weight_bytes(lm.model)
    for how in ("eager", "captured"):
        rows = list(_way(lm, how, sizes, nbytes))
        ours = max(ours, rows[0].get("value") or 0.0)
        yield from rows
    del lm
    give_back(device)
    if ours:
        copied = race({"copy": [copy(device, sizes.copied)]}, device, sizes.seconds)["copy"].median
        share = ours * nbytes / 1e9 / bandwidth(copied, sizes.copied)
        yield figure("nf4: reading the weights, of the copy", share, reach=0.8 if judged else None)
        yield from _peer(config, ours, 2.0 if judged else None, device, sizes)


def _way(lm: LoadedModel, how: str, sizes: Sizes, nbytes: int) -> Iterator[Row]:
    """First of all its speed, or why there is none."""
    label, capture = f"nf4, {how}", how == "captured"
    if capture and recorder(lm.device) is None:
        yield gap(label, NO_GRAPHS)
        return
    try:
        found = tokens_per_s(partial(_ours, lm, capture), sizes)
    except Exception as error:
        yield {"what": label, "why": peers.reason(error), "ok": is_out_of_memory(error)}
        give_back(lm.device, error)
        return
    yield figure(label, found, "tokens/s", nbytes=nbytes)
    yield _profiled(label, _ours(lm, capture), 1 / found, lm.device, sizes)


def _profiled(label: str, drawn: Iterator[int], seconds: float, device: torch.device, sizes: Sizes) -> Row:
    for _ in range(warm_up(sizes)):
        next(drawn)
    profile = where_time_goes(partial(next, drawn), device, seconds)
    return {"what": f"{label}: where the time goes", "note": in_words(profile), "facts": profile}


def _peer(config: dict[str, Any], ours: float, must: float | None, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    label = f"nf4 against transformers {name_of(device)}"
    try:
        theirs = tokens_per_s(lambda: peers.tokens(config, device, PROMPT), sizes, rounds=1)
    except Exception as error:
        yield gap(label, "out of memory" if is_out_of_memory(error) else peers.reason(error), must=must)
        return
    yield figure(f"transformers {name_of(device)}, one answer", theirs, "tokens/s")
    yield figure(label, ours / theirs, "×", must=must)


def warm_up(sizes: Sizes) -> int:
    """Tokens for which the prompt is read, everything wakes up, and the step is recorded."""
    return sizes.warm_up + AS_WRITTEN + 1


def tokens_per_s(begin: Callable[[], Iterator[Any]], sizes: Sizes, rounds: int = ROUNDS) -> float:
    """Behind the first few."""
    best = 0.0
    for _ in range(rounds):
        drawn = begin()
        for _ in range(warm_up(sizes)):
            next(drawn)
        began = time.perf_counter()
        for _ in range(sizes.tokens):
            next(drawn)  # an int: the device has finished
        best = max(best, sizes.tokens / (time.perf_counter() - began))
    return best


def _ours(lm: LoadedModel, capture: bool) -> Iterator[int]:
    reader = Reader(lm, [PROMPT], capture=capture)
    while True:
        token = int(reader.logits().argmax())
        if reader.trouble:
            raise RuntimeError(f"no graph could be recorded: {reader.trouble}")
        reader.add([token])
        yield token
