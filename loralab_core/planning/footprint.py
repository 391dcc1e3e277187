"""What a model surely needs of a device's memory, from its configuration alone.

Weights, the cache of an answer and the adapter's state are counted exactly; activations, kernels' scratch and the
allocator's slack come on top and depend on the batch, so the figures are lower bounds and are called so.
"""

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.counts import adapter_parameter_count, parameter_count

WIDTH = {"fp32": 4, "bf16": 2}  # bytes of a number
ADAPTER_STATE = 16  # bytes of a trained weight: itself, its gradient and Adam's two moments, all float32


def answer_bytes(config: DecoderConfig, base: str, tokens: int) -> int:
    """The weights in `base` and the keys and values of `tokens` tokens."""
    width = WIDTH[base]
    kept = sum(min(tokens, window or tokens) for window in config.windows or (None,) * config.layers)
    return width * (parameter_count(config) + 2 * config.kv_size * kept)


def train_bytes(config: DecoderConfig, base: str, rank: int) -> int:
    """The frozen weights in `base` and an adapter of `rank` on every projection with its optimiser's state."""
    return WIDTH[base] * parameter_count(config) + ADAPTER_STATE * adapter_parameter_count(config, rank)
