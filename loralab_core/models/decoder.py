"""The decoder, read top to bottom. Families differ only in the fields of DecoderConfig.

Notable:
- Token ids or input embeddings go in; `hidden` gives the last layer's normed states, `logits` applies the head.
- Linear carries an optional `lora` record; whoever owns adapters sets that pointer, the model does not know them.
- Positions and the attention plan are computed once a call and shared by all layers.
- dtypes are explicit: activations have the weights' dtype, norms and softmax work in float32.
"""

from typing import Protocol

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.models.rope import RotaryTable
from loralab_core.ops import AttentionPlan, Lora, attention, linear, rms_norm, rotary, swiglu


class Cache(Protocol):
    """Remembers keys and values between calls."""

    length: int  # tokens remembered

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add [batch, time, kv_heads, D] of one layer; returns everything remembered, the new included."""
        ...


class Linear(nn.Module):
    """A projection as the checkpoint has it: `path` is its name there. `lora`, when set, is added to the product."""

    def __init__(self, in_features: int, out_features: int, bias: bool, path: str):
        super().__init__()
        self.in_features, self.out_features, self.path = in_features, out_features, path
        self.weight = nn.Parameter(torch.empty(out_features, in_features), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None
        self.lora: Lora | None = None

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, self.lora)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width), requires_grad=False)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int):
        super().__init__()

        def projection(name: str, in_features: int, out_features: int) -> Linear:
            path = config.names[f"layers.{{}}.attention.{name}"].format(layer)
            return Linear(in_features, out_features, config.attention_bias, path)

        self.layer, self.head_dim = layer, config.head_dim
        self.query = projection("query", config.hidden_size, config.query_size)
        self.key = projection("key", config.hidden_size, config.kv_size)
        self.value = projection("value", config.hidden_size, config.kv_size)
        self.output = projection("output", config.query_size, config.hidden_size)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], plan: AttentionPlan, cache: Cache | None) -> Tensor:
        heads = (*x.shape[:2], -1, self.head_dim)
        q = rotary(self.query(x).view(heads), *turn)  # [batch, time, heads, D]
        k = rotary(self.key(x).view(heads), *turn)
        v = self.value(x).view(heads)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        return self.output(attention(q, k, v, plan))  # type: ignore[no-any-return]


class MLP(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int):
        super().__init__()

        def projection(name: str, in_features: int, out_features: int) -> Linear:
            path = config.names[f"layers.{{}}.mlp.{name}"].format(layer)
            return Linear(in_features, out_features, config.mlp_bias, path)

        self.gate = projection("gate", config.hidden_size, config.intermediate_size)
        self.up = projection("up", config.hidden_size, config.intermediate_size)
        self.down = projection("down", config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(swiglu(self.gate(x), self.up(x)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int):
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = MLP(config, layer)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], plan: AttentionPlan, cache: Cache | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), turn, plan, cache)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """`model(ids)` → float logits [batch, time, vocab]; ids are a LongTensor [batch, time]."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        # not initialised: for a meta device, nn.Embedding's own way imports torch's compiler, which takes half a second
        empty = torch.empty(config.vocab_size, config.hidden_size)
        self.embedding: nn.Embedding = nn.Embedding.from_pretrained(empty, freeze=True)  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.layers))
        self.final_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.head = Linear(config.hidden_size, config.vocab_size, False, config.names["head"])
        if config.tied_head:
            self.tie_head()
        self.rope = RotaryTable(config)
        self.checkpoint_activations = False

    def tie_head(self) -> None:
        """Let the head be the embedding, as the checkpoint has it. Again after the parameters got new memory."""
        self.head.register_parameter("weight", self.embedding.get_parameter("weight"))

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.weight.dtype

    def forward(self, ids: Tensor, **how: object) -> Tensor:
        return self.logits(self.hidden(ids, **how))  # type: ignore[arg-type]

    def hidden(
        self,
        ids: Tensor | None = None,
        *,
        embeddings: Tensor | None = None,
        positions: Tensor | None = None,
        plan: AttentionPlan | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Normed states of the last layer [batch, time, width], from ids or from embeddings of that shape.

        positions [batch or 1, time] and plan default to one document a row, continuing the cache where there is one.
        """
        x = self.embedding(ids) if embeddings is None else embeddings
        past, time = (cache.length if cache else 0), x.shape[1]
        if positions is None:
            positions = torch.arange(past, past + time, device=x.device)[None]
        if plan is None:
            plan = AttentionPlan.cached(past, time, x.device, self.config.sliding_window)
        turn = self.rope(positions)
        for layer in self.layers:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = torch.utils.checkpoint.checkpoint(
                    layer, x, turn, plan, cache, use_reentrant=False, preserve_rng_state=False
                )
            else:
                x = layer(x, turn, plan, cache)
        return self.final_norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden).float()  # type: ignore[no-any-return]
