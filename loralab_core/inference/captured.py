"""Answers token by token on a GPU: one step of the model, recorded and replayed without Python between its kernels.

What a token changes lies in tensors that stay where they are: the tokens, their place, and what is remembered. So
attention looks at all that the cache has room for, under a mask that the place makes. Where buffers are replaced (they
were full, or a row has ended) the step is recorded anew. A recording belongs to one answer, as its cache does: answers
that are drawn in turns have nothing in common, and nothing of an answer that has ended holds memory.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loralab_core.inference.kv_cache import KVCache
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.decoder import Decoder
from loralab_core.ops import AttentionPlan, Compute
from loralab_core.ops.graphs import Recorder, Replay

# Tokens computed as they are written before a recording: about what it costs, one more way through Python and the
# driver's part. So an answer that ends early has lost nothing, and one that goes on pays at most twice what it had to.
# The first of them loads and chooses the kernels.
AS_WRITTEN = 4


class CapturedTokens:
    """The next token of every row of one answer, or of several side by side."""

    def __init__(self, lm: LoadedModel, adapter: Adapter | None, compute: Compute | None, record: Recorder):
        self.lm, self.adapter, self.compute = lm, adapter, compute
        self._record = record
        self._step: Step | None = None

    @torch.no_grad()
    def logits(self, tokens: Sequence[int], pads: Sequence[int], cache: KVCache) -> Tensor:
        """float32 [rows, vocab] behind `tokens`, which are remembered in `cache`.

        `pads` as in Reader; they are the same for as long as the cache has the same rows. Raises CannotRecord: then
        nothing is remembered.
        """
        cache.reserve(cache.length + 1)
        if self._step is None or not self._step.is_of(cache):
            self._step = None  # its memory first
            self._step = Step(self.lm.model, cache, pads)
        self._step.place(tokens, cache.length)
        logits = self._computed(self._step)
        cache.advance()
        return logits

    def _computed(self, step: "Step") -> Tensor:
        if step.replay is None:
            with self.lm.using(self.adapter, self.compute):
                if step.written < AS_WRITTEN:
                    return step.work()
                step.replay = self._record(step.work)
        step.replay()
        return step.logits.clone()  # the next replay writes there


class Step:
    """The model's work on one token of each row. To the model it is the cache."""

    def __init__(self, model: Decoder, cache: KVCache, pads: Sequence[int]):
        self.model, self.capacity, self.length = model, cache.capacity, cache.length
        self.replay: Replay | None = None
        self.written = 0  # tokens computed without a recording
        self._buffers = [cache.buffers(layer) for layer in range(model.config.layers)]
        self._pads = torch.tensor(pads, device=model.device)[:, None]
        self._given = torch.zeros(len(pads) + 1, dtype=torch.long, device=model.device)  # tokens, then their place

    def is_of(self, cache: KVCache) -> bool:
        return self._buffers[0][0] is cache.buffers(0)[0]

    def place(self, tokens: Sequence[int], place: int) -> None:
        """What is worked on next; one copy to the device."""
        self.length = place
        self._given.copy_(torch.tensor([*tokens, place]))

    def work(self) -> Tensor:
        """`logits`, float32 [rows, vocab]."""
        self.written += 1
        ids, place = self._given[:-1, None], self._given[-1:]
        how = (self._pads, place, self.capacity, self.model.dtype)
        windows = self.model.config.distinct_windows
        plans = {window: AttentionPlan.of_slots(*how, window) for window in windows}
        hidden = self.model.hidden(ids, positions=place - self._pads, plans=plans, cache=self)
        self.logits = self.model.logits(hidden)[:, 0]
        return self.logits

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """key, value [rows, 1, kv_heads, D] → the whole buffers [rows, capacity, kv_heads, D]."""
        keys, values = self._buffers[layer]
        place = self._given[-1:]
        return keys.index_copy_(1, place, key), values.index_copy_(1, place, value)
