"""The decoder, read top to bottom. Families differ only in the fields of DecoderConfig.

Notable:
- Token ids or input embeddings go in; `hidden` gives the last layer's normed states, `logits` applies the head.
- Linear carries an optional `lora` record; whoever owns adapters sets that pointer, the model does not know them.
- Turns of the ropes and attention plans are computed once a call, one for each distinct window, for all layers.
- dtypes are explicit: activations have the norms' dtype, as dense weights do; norms and softmax work in float32.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.models.attention import Attention, Cache
from loralab_core.models.merged import Merged
from loralab_core.models.mlp import MLP, ExpertLinear, Mixture
from loralab_core.models.parts import Embedding, Linear, Norm
from loralab_core.models.rope import RotaryTable, Turn
from loralab_core.ops import AttentionPlan, Compute, soft_cap
from loralab_core.quant import QuantTensor

Plans = Mapping[int | None, AttentionPlan]  # by window
BRANCH_ENDS = ("attention.output", "mlp.down")  # of a layer: products whose y joins the residual stream


class Layer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int):
        super().__init__()

        def norm(wanted: bool) -> nn.Module:
            return Norm(config, config.hidden_size) if wanted else nn.Identity()

        self.residual, self.scale = config.residual, config.residual_scale
        self.attention_norm = norm(config.pre_norm)
        self.attention = Attention(config, layer)
        self.attention_post_norm = norm(config.post_norm)
        self.mlp_norm = norm(config.pre_norm and config.residual != "shared")
        experts = config.experts_of(layer)
        self.mlp = Mixture(config, experts, layer) if experts else MLP(config, layer)
        self.mlp_post_norm = norm(config.post_norm)

    def forward(self, x: Tensor, turn: Turn | None, plan: AttentionPlan, cache: Cache | None) -> Tensor:
        normed = self.attention_norm(x)
        attended = self._scaled(self.attention_post_norm(self.attention(normed, turn, plan, cache)))
        if self.residual == "sequential":
            x = x + attended
            return x + self._scaled(self.mlp_post_norm(self.mlp(self.mlp_norm(x))))
        beside = self.mlp(normed if self.residual == "shared" else self.mlp_norm(x))
        return x + attended + self._scaled(beside)

    def _scaled(self, branch: Tensor) -> Tensor:
        return branch if self.scale == 1.0 else branch * self.scale


class Decoder(nn.Module):
    """`model(ids)` → float logits [batch, time, vocab]; ids are a LongTensor [batch, time]."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.hidden_size)
        if config.learned_positions:
            self.positions = Embedding(config.learned_positions, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.layers))
        self.final_norm = Norm(config, config.hidden_size)
        self.head = Linear(config.hidden_size, config.vocab_size, config.head_bias, config.names["head"])
        if config.tied_head:
            self.tie_head()
        self.ropes = [RotaryTable(rope) for rope in config.ropes]
        self.checkpoint_activations = False
        self.compute: Compute = "auto"

    def tie_head(self) -> None:
        """Let the head be the embedding, as the checkpoint has it. Again after the parameters got new memory."""
        if isinstance(self.embedding.weight, QuantTensor):
            self.head.hold(self.embedding.weight)
        else:
            self.head.register_parameter("weight", self.embedding.weight)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Of `.to()` and its like: embedding and head, moved one by one, are one again."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.config.tied_head:
            self.tie_head()
        return self

    def merge(self) -> None:
        """Let quantised projections of the same x be rows of one matrix."""
        for module in self.modules():
            if isinstance(module, Merged):
                module.merge()

    def use_compute(self, compute: Compute) -> None:
        """How products with quantised weights are made from now on.

        Of w4a8 what ends a branch, the last product of attention and of an MLP, keeps its forward pass in 16 bits: no
        norm comes before it, a gate leaves the longest tails, and the two made half of the gradient's squared error.
        The head keeps both passes: beside the large slope of the label 8 bits lose all small probabilities, always
        downwards, and gradients were a third off.
        """
        if compute != self.compute:
            self.compute = compute
            ends = [each for layer in self.layers for path, each in layer.named_modules() if path in BRANCH_ENDS]
            for module in self.modules():
                if isinstance(module, Linear | ExpertLinear):
                    fine = compute == "w4a8" and any(module is each for each in ends)
                    module.compute = "w4a8-grad" if fine else compute
            self.head.compute = "w4a16"

    @property
    def device(self) -> torch.device:
        return self.final_norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of activations. Norms are never quantised, so they have it."""
        return self.final_norm.weight.dtype

    def forward(self, ids: Tensor, **how: object) -> Tensor:
        return self.logits(self.hidden(ids, **how))  # type: ignore[arg-type]

    def hidden(
        self,
        ids: Tensor | None = None,
        *,
        embeddings: Tensor | None = None,
        positions: Tensor | None = None,
        plans: Plans | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Normed states of the last layer [batch, time, width], from ids or from embeddings of that shape.

        positions [batch or 1, time] and plans default to one document a row, continuing the cache where there is one.
        """
        x = self.embedding(ids).to(self.dtype) if embeddings is None else embeddings
        past, time = (cache.length if cache else 0), x.shape[1]
        if positions is None:
            positions = torch.arange(past, past + time, device=x.device)[None]
        if plans is None:
            windows = self.config.distinct_windows
            plans = {window: AttentionPlan.cached(past, time, x.device, window) for window in windows}
        x = self.placed(x, positions)
        turns = [rope(positions) for rope in self.ropes]
        for number, layer in enumerate(self.layers):
            rope = self.config.layer_ropes[number]
            how = (None if rope is None else turns[rope], plans[self.config.windows[number]], cache)
            x = self._through(layer, x, how)
        return self.final_norm(x)  # type: ignore[no-any-return]

    def placed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Embeddings as the first layer takes them."""
        if self.config.embedding_scale != 1.0:  # rounded as the weights are: Gemma's was trained so
            x = x * torch.tensor(self.config.embedding_scale, dtype=x.dtype)
        if self.config.learned_positions:
            x = x + self.positions(positions + self.config.position_offset)
        return x

    def _through(self, layer: nn.Module, x: Tensor, how: tuple[object, ...]) -> Tensor:
        if not (self.checkpoint_activations and torch.is_grad_enabled()):
            return layer(x, *how)  # type: ignore[no-any-return]
        return torch.utils.checkpoint.checkpoint(  # type: ignore[no-any-return]
            layer, x, *how, use_reentrant=False, preserve_rng_state=False
        )

    def logits(self, hidden: Tensor) -> Tensor:
        return self.scaled_logits(self.head(hidden).float())

    def scaled_logits(self, logits: Tensor) -> Tensor:
        """What the head's product means."""
        if self.config.logit_scale != 1.0:
            logits = logits * self.config.logit_scale
        return logits if self.config.logit_cap is None else soft_cap(logits, self.config.logit_cap)
