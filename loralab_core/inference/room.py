"""How many bytes there are for answers made side by side, and how many those take."""

import torch

from loralab_core.hardware.memory import find_memory
from loralab_core.models import Decoder

SHARE = 0.5  # of what is free: other programs live here too
BUFFERS = 3  # the cache's are up to twice as long as what they hold, and moved when they grow
STATES = 4  # tensors of the width of each part that live at once in a layer


def room_bytes(device: torch.device) -> int:
    """Bytes that may be taken for answers on `device`."""
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    return int(SHARE * find_memory().available)  # a Mac's processors share theirs


def rows_bytes(model: Decoder, rows: int, longest: int, new_tokens: int) -> int:
    """Bytes that `rows` answers take side by side: what is remembered, and the reading of the longest prompt."""
    config, size = model.config, model.dtype.itemsize
    remembered = 2 * config.layers * config.kv_size * (longest + min(new_tokens, config.context)) * size
    states = STATES * longest * (config.hidden_size + config.query_size + config.kv_size + config.intermediate_size)
    seen = longest * longest * (1 + size)  # who sees whom, and the scores' bias that is made of it
    drawn = 3 * config.vocab_size * torch.float32.itemsize
    return rows * (BUFFERS * remembered + states * size + seen + drawn)
