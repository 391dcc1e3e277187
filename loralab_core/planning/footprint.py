"""What a model surely needs of a device's memory, from its configuration alone.

Weights, the cache of an answer and the adapter's state are counted exactly; activations, kernels' scratch and the
allocator's slack come on top and depend on the batch, so the figures are lower bounds and are called so.
"""

from dataclasses import dataclass
from typing import Literal

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.counts import adapter_parameter_count, parameter_count, vocabulary_parameter_count
from loralab_core.catalog.models import Figures
from loralab_core.hardware.devices import auto_base
from loralab_core.hardware.room import Room

TOKENS, RANK = 2048, 8  # of the answer and of the adapter whose memory is stated
# bytes of a weight and its scale
WIDTH = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "nf4": 0.516, "int4": 0.516}
DENSE = ("fp32", "bf16", "fp16")
FINE = 1  # byte of one in a quantised model's embedding and head
TRAINED = 8  # bytes of a trained weight and its gradient, float32
STATE = {"adamw": 8.0, "adamw8bit": 2 + 8 / 256, "adafactor": 0.0}  # of its optimiser: two moments, the same in a byte
# each with two scales for 256, next to nothing
ROOMY = 2 / 3  # of the free memory: with more than that taken, a usual batch may not find its place

Verdict = Literal["fits", "tight", "too big"]


@dataclass(frozen=True)
class Need:
    """Bytes of memory on one device, each "at least"."""

    base: str  # the precision that `auto` takes there
    answer: int  # to answer with TOKENS tokens
    train: int  # to train a LoRA of RANK
    here: Verdict


def figures_of(config: DecoderConfig) -> Figures:
    tokens = min(TOKENS, config.context)
    kept = sum(min(tokens, window or tokens) for window in config.windows or (None,) * config.layers)
    adapter = adapter_parameter_count(config, RANK)
    vocabulary = vocabulary_parameter_count(config)
    return Figures(parameter_count(config), config.context, adapter, 2 * config.kv_size * kept, vocabulary)


def width_of(base: str) -> float:
    """Bytes a weight; how the scales were found makes no difference."""
    return WIDTH[base.partition("-")[0]]


def weight_bytes(figures: Figures, base: str) -> int:
    """Embedding and head are never in 4 bits; where their size is not known they are counted so: it is "at least"."""
    width = width_of(base)
    apart = (figures.vocabulary_parameters or 0) if width < FINE else 0
    return int(width * (figures.parameters - apart)) + FINE * apart


def answer_bytes(figures: Figures, base: str) -> int:
    """The weights in `base` and the keys and values of the answer, of 2 bytes where the weights have fewer."""
    width = int(max(width_of(base), WIDTH["bf16"]))
    return weight_bytes(figures, base) + width * (figures.cache_numbers or 0)


def train_bytes(figures: Figures, base: str, optimizer: str = "adamw") -> int:
    """The frozen weights in `base` and an adapter on every projection with its optimiser's state."""
    trained = (TRAINED + STATE[optimizer]) * (figures.adapter_parameters or 0)
    return weight_bytes(figures, base) + int(trained)


def need(figures: Figures, room: Room, stored: str | None = None) -> Need:
    """`stored`: the base that the model is stored as, where that is our own quantised form."""
    base = auto_base(figures.parameters, room.half, stored if room.quantised else None)
    train = train_bytes(figures, base)
    return Need(base, answer_bytes(figures, base), train, verdict(train, room))


def verdict(least: int, room: Room) -> Verdict:
    """ "tight" also where other programs hold what is lacking."""
    if least > room.total:
        return "too big"
    return "fits" if least <= ROOMY * room.free else "tight"
