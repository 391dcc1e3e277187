"""From what was asked to what will be done: the corpus tokenised and packed, every open setting decided."""

import math
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from loralab_core.architecture.counts import parameter_count
from loralab_core.errors import BadInput
from loralab_core.lora.loaded import LoadedModel
from loralab_core.paths import cache_dir
from loralab_core.runs.config import TrainConfig, check_base
from loralab_core.runs.events import Event
from loralab_core.text.dataset import TokenizedCorpus, prepare
from loralab_core.text.packing import Windows, pack
from loralab_core.training.prompts import Form, Prompts, prepare_prompts
from loralab_core.training.tick import TICK

PASS_TOKENS = 2048  # tokens of one forward pass of a 135M model: about a second on two cores, so that chat is prompt
EVAL_WINDOWS = 128  # a validation costs no more than this many windows, the same ones every time


@dataclass
class Prepared:
    config: TrainConfig  # every None that matters decided
    corpus: TokenizedCorpus
    training: Windows
    validation: Windows | None
    prompts: Prompts

    @property
    def validation_indices(self) -> np.ndarray:
        count = len(self.validation) if self.validation else 0
        return np.unique(np.linspace(0, count - 1, min(count, EVAL_WINDOWS)).astype(int)) if count else np.arange(0)


def prepare_run(
    config: TrainConfig, lm: LoadedModel, cancelled: Callable[[], bool], form: Form | None = None
) -> Generator[Event, None, Prepared]:
    """Yields transient `tokenizing` events and TICKs, returns what the trainer needs. Raises BadInput and Cancelled.

    `form`: how prompts were asked in an earlier sitting.
    """
    check_base(config, lm.base)
    seq_len = lm.window(config.seq_len)
    prompts = prepare_prompts(config, lm, form)
    corpus = yield from _tokenized(config, lm, seq_len, cancelled)
    training = pack(corpus.train, seq_len, config.packing, config.seed)
    if not len(training):
        raise BadInput(f"{', '.join(config.corpus)}: nothing is left to train on; lower --val or add text")
    validation = pack(corpus.validation, seq_len, config.packing, config.seed)
    decided = msgspec.structs.replace(
        config,
        seq_len=seq_len,
        base=lm.base,
        device=str(lm.device),
        micro_batch=config.micro_batch or _micro_batch(config, lm, seq_len),
        shrink_micro_batch=_may_shrink(config),
        steps=config.steps or max(1, math.ceil((config.epochs or 1.0) * len(training) / config.batch)),
    )
    return Prepared(decided, corpus, training, validation if len(validation) else None, prompts)


def _may_shrink(config: TrainConfig) -> bool:
    """Who names a micro-batch wants that one; who leaves it open leaves it open when memory runs out too."""
    return config.micro_batch is None if config.shrink_micro_batch is None else config.shrink_micro_batch


def _micro_batch(config: TrainConfig, lm: LoadedModel, seq_len: int) -> int:
    """As many sequences as keep one pass short on a CPU; a GPU takes eight times as many."""
    share = min(1.0, 135e6 / parameter_count(lm.model.config)) if lm.device.type == "cpu" else 8.0
    return max(1, min(config.batch, int(PASS_TOKENS * share / seq_len)))


def _tokenized(
    config: TrainConfig, lm: LoadedModel, seq_len: int, cancelled: Callable[[], bool]
) -> Generator[Event, None, TokenizedCorpus]:
    """Tokenise in a thread of its own: whoever drives this generator can answer questions meanwhile."""
    abandoned = threading.Event()
    progress: list[dict[str, Any]] = []
    outcome: list[TokenizedCorpus | BaseException] = []

    def work() -> None:
        try:
            outcome.append(
                prepare(
                    config.corpus,
                    lm.text(),
                    seq_len=seq_len,
                    val=config.val,
                    overlong=config.overlong,
                    prompt_loss=config.prompt_loss,
                    cache=cache_dir(),
                    progress=progress.append,
                    cancelled=lambda: abandoned.is_set() or cancelled(),
                )
            )
        except BaseException as error:  # handed to the generator's thread, where it is raised
            outcome.append(error)

    thread = threading.Thread(target=work, name="tokenizing")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
            while progress:
                yield progress.pop(0)
            yield TICK
    finally:
        abandoned.set()  # nobody drives this generator any more
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
