"""What was read and said so far, of one sequence or of several side by side, and the logits behind it.

Rows of different lengths are padded on the left, so that all go on at the same place; nobody sees the padding, and
each row counts its positions from its own first token. So a row gives what it would give alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from loralab_core.inference.captured import CapturedTokens
from loralab_core.inference.kv_cache import KVCache
from loralab_core.inference.token_decoder import TokenDecoder, can_decode
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops import AttentionPlan, Compute
from loralab_core.ops.graphs import CannotRecord, recorder


class Reader:
    def __init__(
        self,
        lm: LoadedModel,
        prompts: Sequence[Sequence[int]],
        adapter: Adapter | None = None,
        compute: Compute | None = None,
        capture: bool = True,
    ):
        """`prompts`: token ids, at least one of at least one. `adapter`, `compute`: used for each reading only.

        `capture`: tokens behind the prompt are replayed as a graph, where the device can.
        """
        self.lm, self.adapter, self.compute = lm, adapter and adapter.answering(), compute
        self._rows = [list(prompt) for prompt in prompts]
        longest = max(map(len, self._rows))
        self._pads = [longest - len(row) for row in self._rows]
        self._cache = self._empty()
        self._tokens = TokenDecoder(lm.model, adapter) if can_decode(lm.model, adapter) else None
        self._captured = self._capturing() if capture else None
        self.trouble = ""  # why no graph could be recorded; the answer goes on without

    def logits(self) -> Tensor:
        """float32 [rows, vocab] behind the last token of each row. Reads what was not read before."""
        if self._cache.length and self._turns_change():
            self._cache = self._empty()
        found = self._next() if self._one_new() else None
        return self._read() if found is None else found

    def add(self, tokens: Sequence[int]) -> None:
        """One more token of each row."""
        for row, token in zip(self._rows, tokens, strict=True):
            row.append(token)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        if len(rows) < len(self._rows):
            self._rows = [self._rows[row] for row in rows]
            self._pads = [self._pads[row] for row in rows]
            self._cache.keep(rows)

    def _one_new(self) -> bool:
        """Whether all was read but the last token of each row."""
        past = self._cache.length
        return past > 0 and self._pads[0] + len(self._rows[0]) == past + 1

    def _next(self) -> Tensor | None:
        """The same for one new token a row; None where there is no shorter way than through the layers."""
        if self._tokens is not None and len(self._rows) == 1 and self._tokens.fits(self._cache.length):
            return self._tokens.logits(self._rows[0][-1], self._cache)
        if self._captured is not None:
            try:
                return self._captured.logits([row[-1] for row in self._rows], self._pads, self._cache)
            except CannotRecord as error:
                self._captured, self.trouble = None, str(error)
        return None

    def _read(self) -> Tensor:
        model, past = self.lm.model, self._cache.length
        ids = torch.tensor([self._slots(row, pad)[past:] for row, pad in zip(self._rows, self._pads, strict=True)])
        with torch.no_grad(), self.lm.using(self.adapter, self.compute):
            how = self._places(past, ids.shape[1]) if any(self._pads) else {}
            hidden = model.hidden(ids.to(model.device), cache=self._cache, **how)[:, -1:]
            return model.logits(hidden)[:, 0]

    def _capturing(self) -> CapturedTokens | None:
        """None where the device records nothing, and of experts, who ask it how many tokens each gets."""
        record = None if self.lm.model.config.experts else recorder(self.lm.model.device)
        return CapturedTokens(self.lm, self.adapter, self.compute, record) if record else None

    def _slots(self, row: list[int], pad: int) -> list[int]:
        return [row[0]] * pad + row if pad else row

    def _places(self, past: int, time: int) -> dict[str, Any]:
        """Positions and plans of rows that are padded."""
        pads, device = torch.tensor(self._pads), self.lm.model.device
        windows = self.lm.model.config.distinct_windows
        return {
            "positions": (torch.arange(past, past + time) - pads[:, None]).clamp_min(0).to(device),
            "plans": {window: AttentionPlan.padded(pads, past, time, device, window) for window in windows},
        }

    def _turns_change(self) -> bool:
        """A row has grown beyond what longrope's short factors are for: all of it is to be turned by the long ones."""
        ropes = (rope.scaling for rope in self.lm.model.config.ropes)
        borders = {scaling.original_context + 1 for scaling in ropes if scaling and scaling.kind == "longrope"}
        return any(len(row) in borders for row in self._rows)

    def _empty(self) -> KVCache:
        model = self.lm.model
        return KVCache(model.config, model.dtype, model.device, batch=len(self._rows))
