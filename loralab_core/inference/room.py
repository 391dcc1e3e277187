"""How many bytes there are for answers, and how many those take."""

import torch

from loralab_core.device_memory import device_memory
from loralab_core.models import Decoder
from loralab_core.ops.graphs import recorder

SHARE = 0.5  # of what is free, for answers side by side: other programs live here too
SURE = 0.9  # of it, for one answer: allocators lose some to gaps
BUFFERS = 3  # the cache's are up to twice as long as what they hold, and moved when they grow
GRAPH = 64 << 20  # of a recorded step: a few of the allocator's blocks, of up to 20 MiB each, and the driver's nodes
STATES = 4  # tensors of the width of each part that live at once in a layer


def room_bytes(device: torch.device) -> int:
    """Bytes that may be taken for answers side by side on `device`."""
    return int(SHARE * device_memory(device).free)


def rows_bytes(model: Decoder, rows: int, longest: int, new_tokens: int) -> int:
    """Bytes that `rows` answers take side by side: what is remembered, and the reading of the longest prompt."""
    seen = longest * longest * (1 + model.dtype.itemsize)  # who sees whom, and the scores' bias that is made of it
    tokens = longest + min(new_tokens, model.config.context)
    return rows * (tokens * _remembered(model) + _reading(model, longest) + seen) + _graph(model)


def fitting_tokens(model: Decoder, prompt: int, reserve: int) -> int:
    """How many tokens an answer to `prompt` tokens may get; below 1 not even the prompt can be read.

    `reserve`: bytes of what is free that must stay so, for a training step.
    """
    room = SURE * device_memory(model.device).free - reserve - _graph(model)
    return int((room - _reading(model, prompt)) // _remembered(model)) - prompt


def _remembered(model: Decoder) -> int:
    """Bytes a token."""
    return BUFFERS * 2 * model.config.layers * model.config.kv_size * model.dtype.itemsize


def _reading(model: Decoder, prompt: int) -> int:
    """Bytes that live at once while a prompt of so many tokens is read, and while a token is drawn."""
    config = model.config
    widths = config.hidden_size + config.query_size + config.kv_size + config.intermediate_size
    return STATES * prompt * widths * model.dtype.itemsize + 3 * config.vocab_size * torch.float32.itemsize


def _graph(model: Decoder) -> int:
    return GRAPH if recorder(model.device) else 0
