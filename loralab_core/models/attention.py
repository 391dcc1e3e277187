"""Attention of a decoder layer, with the projections around it."""

import math
from typing import Protocol

from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.models.merged import Merged
from loralab_core.models.parts import Linear, Norm
from loralab_core.models.rope import Turn
from loralab_core.ops import AttentionPlan, attention, rotary


class Cache(Protocol):
    """Remembers keys and values between calls."""

    length: int  # tokens remembered

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add [batch, time, kv_heads, D] of one layer; returns everything remembered, the new included."""
        ...


class Attention(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int):
        super().__init__()

        def projection(name: str, in_features: int, out_features: int, bias: bool) -> Linear:
            path = config.names[f"layers.{{}}.attention.{name}"].format(layer)
            return Linear(in_features, out_features, bias, path)

        self.config, self.layer = config, layer
        self.scale = config.attention_scale or 1 / math.sqrt(config.head_dim)
        hidden, query, kv = config.hidden_size, config.query_size, config.kv_size
        if config.fused_qkv:
            self.qkv = projection("qkv", hidden, query + 2 * kv, config.qkv_bias)
        else:
            self.query = projection("query", hidden, query, config.qkv_bias)
            self.key = projection("key", hidden, kv, config.qkv_bias)
            self.value = projection("value", hidden, kv, config.qkv_bias)
            self.merged = Merged(self.query, self.key, self.value)
        if config.qk_norm:
            per_head = config.qk_norm == "head"
            self.query_norm = Norm(config, config.head_dim if per_head else query)
            self.key_norm = Norm(config, config.head_dim if per_head else kv)
        self.output = projection("output", query, hidden, config.output_bias)

    def forward(self, x: Tensor, turn: Turn | None, plan: AttentionPlan, cache: Cache | None) -> Tensor:
        q, k, v = self._heads(*self._projected(x))
        if turn is not None:
            q, k = rotary(q, *turn), rotary(k, *turn)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        return self.output(attention(q, k, v, plan, self.scale, self.config.attention_cap))  # type: ignore[no-any-return]

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each [batch, time, heads · D]."""
        if not self.config.fused_qkv:
            return self.merged(x)  # type: ignore[no-any-return]
        qkv, sizes = self.qkv(x), [self.config.query_size, self.config.kv_size, self.config.kv_size]
        if self.config.fused_qkv == "heads":  # [batch, time, heads, q|k|v of a head]
            each = (*qkv.shape[:-1], self.config.heads, 3, self.config.head_dim)
            qkv = qkv.view(each).transpose(-3, -2).flatten(-3)
        return qkv.split(sizes, -1)  # type: ignore[no-any-return]

    def _heads(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each [batch, time, heads, D], queries and keys normed where the family norms them."""
        if self.config.qk_norm == "projection":
            q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = (x.view(*x.shape[:-1], -1, self.config.head_dim) for x in (q, k, v))
        if self.config.qk_norm == "head":
            q, k = self.query_norm(q), self.key_norm(k)
        return q, k, v
