"""Answers token by token on a quantised base, a whole token in one call of the kernels (loralab_core/ops/decode.py)."""

import torch
from torch import Tensor

from loralab_core.architecture.config import DecoderConfig
from loralab_core.inference.kv_cache import KVCache
from loralab_core.lora.adapter import Adapter, projections
from loralab_core.models.decoder import Decoder, Layer
from loralab_core.models.mlp import MLP
from loralab_core.models.parts import Linear, Norm
from loralab_core.ops import Lora
from loralab_core.ops.decode import ACTIVATIONS, HIGHEST_RANK, PreparedDecoder, kernels_decode
from loralab_core.quant import QuantTensor


def can_decode(model: Decoder, adapter: Adapter | None = None) -> bool:
    """Whether the kernels are there and the model is plain enough for them: others go operator by operator."""
    if not isinstance(model.head.weight, QuantTensor) or model.device.type != "cpu" or not is_plain(model.config):
        return False
    ranks = [len(lora.a) for lora in adapter.layers.values()] if adapter else []
    quantised = all(isinstance(projection.weight, QuantTensor) for projection in projections(model.layers))
    return quantised and max(ranks, default=0) <= HIGHEST_RANK and kernels_decode()


def is_plain(config: DecoderConfig) -> bool:
    """What csrc/cpu/decode.h computes."""
    norms = config.norm == "rms" and config.pre_norm and not config.post_norm and config.qk_norm in (None, "head")
    ropes = len(config.ropes) == 1 and all(rope == 0 for rope in config.layer_ropes)
    separate = not (config.fused_qkv or config.fused_gate_up or config.experts)
    residual = config.residual == "sequential" and config.residual_scale == 1.0
    activation = config.gated and config.activation in ACTIVATIONS
    return norms and ropes and separate and residual and activation and config.attention_cap is None


class TokenDecoder:
    """Of one sequence. Prepared at the first token, and again when the cache has moved into larger buffers."""

    def __init__(self, model: Decoder, adapter: Adapter | None = None):
        self.model = model
        self._layers = adapter.layers if adapter else {}
        self._prepared: PreparedDecoder | None = None
        self._capacity = 0

    def fits(self, past: int) -> bool:
        """Whether no window bites."""
        return all(window is None or past < window for window in self.model.config.distinct_windows)

    @torch.no_grad()
    def logits(self, token: int, cache: KVCache) -> Tensor:
        """float32 [1, vocab] behind `token`, which is remembered in `cache`."""
        cache.reserve(cache.length + 1)
        if self._prepared is None or self._capacity != cache.capacity:
            self._prepared, self._capacity = self._prepare(cache), cache.capacity
        position = torch.tensor([[cache.length]])
        cos, sin = (turn.flatten() for turn in self.model.ropes[0](position))
        x = self.model.embedding(torch.tensor([[token]])).to(self.model.dtype)
        x = self.model.placed(x, position).float().flatten()
        logits = self._prepared.logits(x, cos, sin, cache.length)
        cache.advance()
        return self.model.scaled_logits(logits)[None]

    def _prepare(self, cache: KVCache) -> PreparedDecoder:
        """Everything in the order in which csrc/binding/cpu/decode.cpp reads it."""
        config, lists = self.model.config, Lists()
        kinds = ACTIVATIONS.index(config.activation)
        lists.numbers += [config.layers, config.hidden_size, config.heads, config.kv_heads, config.head_dim]
        lists.numbers += [config.ropes[0].size, kinds, config.intermediate_size]
        lists.scalars += [config.norm_eps, config.attention_scale or config.head_dim**-0.5]
        for number, layer in enumerate(self.model.layers):
            assert isinstance(layer, Layer)
            self._add_layer(lists, layer, *cache.buffers(number))
        lists.norm(self.model.final_norm)
        lists.numbers.append(config.vocab_size)
        lists.linear(self.model.head, None)
        return PreparedDecoder(lists.tensors, lists.numbers, lists.scalars)

    def _add_layer(self, lists: "Lists", layer: Layer, keys: Tensor, values: Tensor) -> None:
        attention, mlp = layer.attention, layer.mlp
        assert isinstance(mlp, MLP) and isinstance(mlp.gate, Linear)
        lists.norm(layer.attention_norm)
        lists.norm(layer.mlp_norm)
        for name in ("query_norm", "key_norm"):
            lists.norm(getattr(attention, name, None))
        lists.tensors += [keys[0].flatten(1), values[0].flatten(1)]
        linears: list[Linear] = [attention.query, attention.key, attention.value, attention.output]
        for linear in [*linears, mlp.gate, mlp.up, mlp.down]:
            lists.linear(linear, self._layers.get(linear.path))


class Lists:
    """What a decoder is handed over as; an empty tensor stands for none."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.numbers: list[int] = []
        self.scalars: list[float] = []

    def add(self, tensor: Tensor | None) -> None:
        self.tensors.append(torch.empty(0) if tensor is None else tensor)

    def norm(self, norm: object) -> None:
        """Its gain, whole."""
        self.add(norm.weight.float() + norm.offset if isinstance(norm, Norm) else None)

    def linear(self, linear: Linear, lora: Lora | None) -> None:
        weight = linear.weight
        assert isinstance(weight, QuantTensor)
        for part in (weight.codes, weight.scales, weight.steps, weight.codebook, weight.zeros):
            self.add(part)
        self.numbers += [weight.shape[1], weight.group]
        self.add(None if linear.bias is None else linear.bias.float())
        self.add(None if lora is None else lora.a.float().contiguous())
        self.add(None if lora is None else lora.b.float().contiguous())
        self.scalars.append(lora.scale if lora else 0.0)
