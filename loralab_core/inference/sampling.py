"""How the next token is drawn from the logits."""

import torch
from torch import Tensor

from loralab_core.wire.messages import Sampling


class Sampler:
    """Draws one token after another; the same seed and logits give the same tokens, whatever else the process does."""

    def __init__(self, sampling: Sampling):
        self.sampling = sampling
        self.generator = torch.Generator().manual_seed(sampling.seed)

    def draw(self, logits: Tensor) -> int:
        """logits [vocab], any device → token id. Temperature 0 takes the most likely one."""
        how = self.sampling
        if how.temperature <= 0:
            return int(logits.argmax())
        scaled = logits.float().cpu() / how.temperature
        if how.top_k > 0:
            keep = torch.topk(scaled, min(how.top_k, scaled.numel())).values[-1]
            scaled = scaled.masked_fill(scaled < keep, -torch.inf)
        if how.top_p < 1.0:
            scaled = nucleus(scaled, how.top_p)
        return int(torch.multinomial(torch.softmax(scaled, -1), 1, generator=self.generator))


def nucleus(logits: Tensor, share: float) -> Tensor:
    """Leave the fewest most likely tokens whose probabilities reach `share` (top-p, arXiv:1904.09751)."""
    ordered, order = torch.sort(logits, descending=True)
    probability = torch.softmax(ordered, -1)
    beyond = torch.cumsum(probability, -1) - probability >= share  # by what stands before each token
    beyond[0] = False
    ordered = ordered.masked_fill(beyond, -torch.inf)
    return torch.empty_like(logits).scatter_(0, order, ordered)
