"""Learning rate as a pure function of the step, so that resuming needs no state."""

import math


def learning_rate(step: int, steps: int, peak: float, schedule: str, warmup: int) -> float:
    """Rate of `step` (1 … steps): linear warm-up over `warmup` steps to `peak`, then the schedule.

    "constant" stays; "linear" and "cosine" (arXiv:1608.03983, one half wave) fall towards zero, which they would
    reach one step after the last.
    """
    if step <= warmup:
        return peak * step / warmup
    if schedule == "constant":
        return peak
    share = min(1.0, (step - 1 - warmup) / max(1, steps - warmup))
    return peak * (1 - share) if schedule == "linear" else peak * 0.5 * (1 + math.cos(math.pi * share))
