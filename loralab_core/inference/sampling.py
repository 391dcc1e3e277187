"""How the next token is drawn from the logits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from loralab_core.wire.sampling import Sampling

GREEDY_BELOW = 1e-5  # dividing by less would overflow, and differs from the likeliest token by nothing


class Sampler:
    """Draws one token after another; the same seed and logits give the same tokens, whatever else the process does."""

    def __init__(self, sampling: "Sampling", read: Sequence[int] = ()):
        """`read`: the prompt's tokens, whose repetition is discouraged like that of tokens drawn. Raises BadInput."""
        from loralab_core.wire.sampling import check_sampling

        self.sampling = check_sampling(sampling)
        self.generator = torch.Generator().manual_seed(sampling.seed)
        self._seen = set(read)

    def draw(self, logits: Tensor) -> int:
        """logits [vocab], any device → token id. Temperature 0 takes the most likely one."""
        token = self._draw(self.penalised(logits))
        self._seen.add(token)
        return token

    def penalised(self, logits: Tensor) -> Tensor:
        """Divide what speaks for a token seen before, multiply what speaks against it (CTRL, arXiv:1909.05858)."""
        penalty = self.sampling.repetition_penalty
        if penalty == 1.0 or not self._seen:
            return logits
        seen = torch.tensor(sorted(self._seen), device=logits.device)
        found = logits[seen]
        return logits.index_copy(0, seen, torch.where(found > 0, found / penalty, found * penalty))

    def _draw(self, logits: Tensor) -> int:
        if self.sampling.temperature < GREEDY_BELOW:
            return int(logits.argmax())
        probability = torch.softmax(warped(logits.float().cpu(), self.sampling), -1)
        return int(torch.multinomial(probability, 1, generator=self.generator))


def warped(logits: Tensor, how: "Sampling") -> Tensor:
    """float [vocab] → the same divided by the temperature, -inf where a token may not be drawn.

    Top-k, top-p and min-p each look at what the one before has left, which is the order of transformers.
    """
    logits = logits / how.temperature
    if how.top_k > 0:
        logits = logits.masked_fill(logits < torch.topk(logits, min(how.top_k, logits.numel())).values[-1], -torch.inf)
    if how.top_p < 1.0:
        logits = nucleus(logits, how.top_p)
    if how.min_p > 0.0:  # arXiv:2407.01082
        probability = torch.softmax(logits, -1)
        logits = logits.masked_fill(probability < how.min_p * probability.max(), -torch.inf)
    return logits


def nucleus(logits: Tensor, share: float) -> Tensor:
    """Leave the fewest most likely tokens whose probabilities reach `share` (top-p, arXiv:1904.09751).

    Counted from the least likely up: there the sum of many small numbers is exact longest.
    """
    ordered, order = torch.sort(logits)
    beyond = torch.cumsum(torch.softmax(ordered, -1), -1) <= 1 - share
    beyond[-1] = False
    return logits.masked_fill(torch.empty_like(beyond).scatter_(0, order, beyond), -torch.inf)
