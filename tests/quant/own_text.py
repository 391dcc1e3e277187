"""What a model writes itself, where whatever its loss gains is how far its predictions moved."""

import torch
from torch import Tensor

from loralab_core.inference.kv_cache import KVCache
from loralab_core.models.decoder import Decoder


@torch.no_grad()
def own_text(model: Decoder, rows: int, length: int) -> Tensor:
    """[rows, length] of what `model` says after its first token (1), at temperature 1; the same each time."""
    generator = torch.Generator().manual_seed(0)
    cache = KVCache(model.config, model.dtype, model.device, batch=rows)
    pieces = [torch.ones(rows, 1, dtype=torch.long)]
    while len(pieces) < length:
        shares = model.logits(model.hidden(pieces[-1], cache=cache))[:, -1].softmax(-1)
        pieces.append(torch.multinomial(shares, 1, generator=generator))
    return torch.cat(pieces, 1)
