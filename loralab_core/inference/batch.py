"""Several prompts answered side by side: one pass of the model draws a token of each.

Prompts of different lengths are padded on the left, so that all draw at the same place; nobody sees the padding, and
each row counts its positions from its own first token. A row says what it would have said alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loralab_core.inference.kv_cache import KVCache
from loralab_core.inference.sampling import Sampler
from loralab_core.inference.stopping import StopStrings
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops import AttentionPlan
from loralab_core.wire.messages import Sampling


class _Row:
    """One prompt and its answer."""

    def __init__(self, lm: LoadedModel, prompt: Sequence[int], sampling: Sampling):
        self.prompt, self.sampling, self.ends = prompt, sampling, lm.text().eos_ids
        self.sampler, self.stream = Sampler(sampling, prompt), lm.text().stream()
        self.stops, self.text, self.count, self.done = StopStrings(sampling.stop), "", 0, False

    def take(self, logits: Tensor) -> int:
        """Draw the next token; of a row that is done, whatever: nobody reads it."""
        if self.done:
            return self.prompt[-1]
        token = self.sampler.draw(logits)
        self.count += 1
        if token not in self.ends:
            self.text += self.stops.push(self.stream.push(token))
        self.done = token in self.ends or self.stops.found or self.count >= self.sampling.max_new_tokens
        return token

    def finish(self) -> str:
        self.text += self.stops.push(self.stream.flush())
        return self.text + self.stops.flush()


def answer_together(
    lm: LoadedModel, prompts: Sequence[Sequence[int]], sampling: Sampling, adapter: Adapter | None = None
) -> list[str]:
    """The answers' texts, in the prompts' order. Rows that reach the context's end stop there."""
    rows = [_Row(lm, prompt, sampling) for prompt in prompts]
    if rows and sampling.max_new_tokens > 0:
        with torch.no_grad(), lm.using(adapter):
            _draw_all(lm, rows)
    return [row.finish() for row in rows]


def _draw_all(lm: LoadedModel, rows: list[_Row]) -> None:
    model, longest = lm.model, max(len(row.prompt) for row in rows)
    pads = torch.tensor([longest - len(row.prompt) for row in rows])
    cache = KVCache(model.config, model.dtype, model.device, batch=len(rows))
    texts = [[row.prompt[0]] * int(pad) + list(row.prompt) for row, pad in zip(rows, pads, strict=True)]
    while True:
        cache.make_room_for(len(texts[0]))
        logits = _logits(lm, [text[cache.length :] for text in texts], pads, cache)
        for text, row, each in zip(texts, rows, logits, strict=True):
            text.append(row.take(each))
        if all(row.done for row in rows) or cache.length >= model.config.context:
            return


def _logits(lm: LoadedModel, feed: list[list[int]], pads: Tensor, cache: KVCache) -> Tensor:
    """[rows, vocab] behind the last token of each row."""
    model, past, time = lm.model, cache.length, len(feed[0])
    windows = model.config.distinct_windows
    plans = {window: AttentionPlan.padded(pads, past, time, model.device, window) for window in windows}
    positions = (torch.arange(past, past + time) - pads[:, None]).clamp_min(0).to(model.device)
    ids = torch.tensor(feed, device=model.device)
    hidden = model.hidden(ids, positions=positions, plans=plans, cache=cache)[:, -1:]
    return model.logits(hidden)[:, 0]
