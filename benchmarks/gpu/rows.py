"""One line of the report: a figure with its bounds, or why there is none."""

import math
from typing import Any

from benchmarks.parts import Row


def figure(
    what: str,
    value: float,
    unit: str = "",
    *,
    must: float | None = None,
    reach: float | None = None,
    low: bool = False,
    **facts: Any,
) -> Row:
    """`must` and `reach`: bounds from below, or from above where `low`. `facts`: what it was computed from."""
    row: Row = {"what": what, "value": value, "unit": unit}
    row |= {name: bound for name, bound in (("must", must), ("reach", reach)) if bound is not None}
    if must is not None or reach is not None:
        row |= {"low": low, "verdict": verdict(value, must, reach, low)}
    return row | ({"facts": facts} if facts else {})


def gap(what: str, why: str, *, must: float | None = None, reach: float | None = None) -> Row:
    """No figure, for a reason that is no fault of ours."""
    bounds = {name: bound for name, bound in (("must", must), ("reach", reach)) if bound is not None}
    return {"what": what, "why": why, "ok": True, **bounds}


def checked(what: str, value: float, allowed: float, unit: str = "", **facts: Any) -> Row:
    """A figure that is wrong where it is more than allowed, or no number at all."""
    row: Row = {"what": what, "ok": value <= allowed, "allowed": allowed, "facts": facts}
    return row | ({"value": value, "unit": unit} if math.isfinite(value) else {"why": "it is infinite or NaN"})


def verdict(value: float, must: float | None, reach: float | None, low: bool) -> str:
    def within(bound: float | None) -> bool:
        return bound is not None and (value <= bound if low else value >= bound)

    if within(reach):
        return "reached"
    if must is None:
        return "not reached"
    return "enough" if within(must) else "SHORT"
