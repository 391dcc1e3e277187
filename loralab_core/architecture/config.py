"""What a decoder looks like, read from a model's config.json. Every difference between families is a field here."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for longer contexts.

    "linear" divides every frequency by `factor` (kaiokendev / Chen et al., arXiv:2306.15595); "llama3" keeps the high
    frequencies, divides the low ones and blends between (Llama 3.1, arXiv:2407.21783; the bounds are wavelengths as
    shares of `original_context`).
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True)
class DecoderConfig:
    """Shapes and switches of one decoder-only transformer.

    `names` maps our module paths to the checkpoint's, with `{}` for the layer; adapters are named by the latter.
    """

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int  # positions the model was made for
    norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    sliding_window: int | None = None  # a token sees itself and the window-1 before it
    attention_bias: bool = False
    mlp_bias: bool = False
    tied_head: bool = False
    activation: Literal["silu", "gelu", "gelu_tanh"] = "silu"
    initializer_range: float = 0.02
    names: dict[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def query_size(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.kv_heads * self.head_dim
