"""How the next token is drawn from the logits."""

from collections.abc import Sequence

import torch
from torch import Tensor

from loralab_core.wire.messages import Sampling


class Sampler:
    """Draws one token after another; the same seed and logits give the same tokens, whatever else the process does."""

    def __init__(self, sampling: Sampling, read: Sequence[int] = ()):
        """`read`: the prompt's tokens, whose repetition is discouraged like that of tokens drawn."""
        self.sampling = sampling
        self.generator = torch.Generator().manual_seed(sampling.seed)
        self._seen = set(read)

    def draw(self, logits: Tensor) -> int:
        """logits [vocab], any device → token id. Temperature 0 takes the most likely one."""
        token = self._draw(self._penalised(logits))
        self._seen.add(token)
        return token

    def _penalised(self, logits: Tensor) -> Tensor:
        """Divide what speaks for a token seen before, multiply what speaks against it (CTRL, arXiv:1909.05858)."""
        penalty = self.sampling.repetition_penalty
        if penalty == 1.0 or not self._seen:
            return logits
        seen = torch.tensor(sorted(self._seen), device=logits.device)
        found = logits[seen]
        return logits.index_copy(0, seen, torch.where(found > 0, found / penalty, found * penalty))

    def _draw(self, logits: Tensor) -> int:
        how = self.sampling
        if how.temperature <= 0:
            return int(logits.argmax())
        scaled = logits.float().cpu() / how.temperature
        if how.top_k > 0:
            keep = torch.topk(scaled, min(how.top_k, scaled.numel())).values[-1]
            scaled = scaled.masked_fill(scaled < keep, -torch.inf)
        if how.top_p < 1.0:
            scaled = nucleus(scaled, how.top_p)
        probability = torch.softmax(scaled, -1)
        if how.min_p > 0.0:  # arXiv:2407.01082; multinomial takes weights that do not add up to one
            probability = probability.masked_fill(probability < how.min_p * probability.max(), 0.0)
        return int(torch.multinomial(probability, 1, generator=self.generator))


def nucleus(logits: Tensor, share: float) -> Tensor:
    """Leave the fewest most likely tokens whose probabilities reach `share` (top-p, arXiv:1904.09751)."""
    ordered, order = torch.sort(logits, descending=True)
    probability = torch.softmax(ordered, -1)
    beyond = torch.cumsum(probability, -1) - probability >= share  # by what stands before each token
    beyond[0] = False
    ordered = ordered.masked_fill(beyond, -torch.inf)
    return torch.empty_like(logits).scatter_(0, order, ordered)
