"""Who sees whom: made once a step from the documents' borders, once a token of answers, and shared by every layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

Segment = tuple[slice, int, int]  # rows, first position, end position


@dataclass(frozen=True)
class AttentionPlan:
    """`segments` (plain causal runs) or `mask` (True: may look); with neither, everyone sees all.

    A mask of floats is added to the scores: 0 or -inf. scaled_dot_product_attention makes that of every other, anew in
    each layer.
    """

    segments: tuple[Segment, ...] = ()
    mask: Tensor | None = None  # [batch or 1, 1, queries, keys]

    @staticmethod
    def packed(
        documents: list[list[tuple[int, int]]],
        time: int,
        device: torch.device,
        window: int | None = None,
        alike: bool = False,
    ) -> "AttentionPlan":
        """`documents[row]` lists the (start, end) of each document of that row; the rest is padding.

        `alike`: borders are in the mask's contents only, so that plans of other documents have the same shape.
        """
        longest = max((end - start for row in documents for start, end in row), default=0)
        if alike and longest <= (window or time) and all(len(row) <= 1 for row in documents):
            return AttentionPlan(((slice(None), 0, time),))  # padding comes last: it sees, and nobody sees it
        if not alike and (window is None or longest <= window):
            if all(row == documents[0] for row in documents):
                return AttentionPlan(tuple((slice(0, len(documents)), s, e) for s, e in documents[0]))
            if device.type == "cpu":
                return AttentionPlan(tuple((slice(r, r + 1), s, e) for r, row in enumerate(documents) for s, e in row))
        owner = torch.full((len(documents), time), -1)
        for row, spans in enumerate(documents):
            for number, (start, end) in enumerate(spans):
                owner[row, start:end] = number
        same = owner[:, :, None] == owner[:, None, :]
        return AttentionPlan(mask=(same & _causal(time, 0, window)).unsqueeze(1).to(device))

    @staticmethod
    def cached(past: int, time: int, device: torch.device, window: int | None = None) -> "AttentionPlan":
        """`time` new tokens behind `past` remembered ones, all of one document."""
        if past == 0 and (window is None or time <= window):
            return AttentionPlan(((slice(None), 0, time),))
        if time == 1 and (window is None or past < window):
            return AttentionPlan()
        return AttentionPlan(mask=_causal(time, past, window)[None, None].to(device))

    @staticmethod
    def padded(pads: Tensor, past: int, time: int, device: torch.device, window: int | None = None) -> "AttentionPlan":
        """As `cached`, for rows that begin with `pads` [rows] positions nobody else sees.

        Those see themselves: a row of scores that is masked throughout would be NaN.
        """
        real = torch.arange(past + time)[None] >= pads[:, None]  # [rows, keys]
        own = torch.arange(past, past + time)[:, None] == torch.arange(past + time)
        seen = (_causal(time, past, window)[None] & real[:, None]) | own[None]
        return AttentionPlan(mask=seen.unsqueeze(1).to(device))

    @staticmethod
    def of_slots(
        pads: Tensor, place: Tensor, capacity: int, dtype: torch.dtype, window: int | None = None
    ) -> "AttentionPlan":
        """Of the one new token at `place` [1] of a cache with `capacity` slots, behind `pads` [rows, 1] as in `padded`.

        All sizes are known without asking the device, whatever the tensors hold. The mask has `dtype`, that of queries.
        """
        slots = torch.arange(capacity, device=place.device)[None]
        seen = (slots >= pads) & (slots <= place)  # [rows, capacity]
        if window is not None:
            seen = seen & (slots > place - window)
        bias = torch.zeros(seen.shape, dtype=dtype, device=place.device).masked_fill(~seen, -torch.inf)
        return AttentionPlan(mask=bias[:, None, None])


def _causal(time: int, past: int, window: int | None) -> Tensor:
    """bool [time, past + time]; position i of the new ones stands at past + i."""
    query = torch.arange(past, past + time)[:, None]
    key = torch.arange(past + time)[None]
    seen = key <= query
    return seen if window is None else seen & (key > query - window)
