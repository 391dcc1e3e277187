"""What a decoder looks like, read from a model's config.json. Every difference between families is a field here."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for longer contexts.

    "linear" divides every frequency by `factor` (kaiokendev / Chen et al., arXiv:2306.15595); "llama3" keeps the high
    frequencies, divides the low ones and blends between (Llama 3.1, arXiv:2407.21783; the bounds are wavelengths as
    shares of `original_context`); "longrope" divides each pair's by its own factor, one list up to `original_context`
    tokens and one beyond (arXiv:2402.13753), and multiplies cosine and sine by `magnitude`; "yarn" keeps the pairs that
    turn more than `beta_fast` times within `original_context`, divides those that turn less than `beta_slow` times,
    blends between (the border pairs rounded outwards where `truncate`), and has a `magnitude` too (arXiv:2309.00071).
    """

    kind: Literal["linear", "llama3", "longrope", "yarn"]
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    magnitude: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True


@dataclass(frozen=True)
class Rope:
    """Rotary positions: the first `size` of a head's dimensions turn."""

    theta: float
    size: int
    scaling: RopeScaling | None = None


@dataclass(frozen=True)
class Experts:
    """A mixture of expert MLPs: each token goes through the `active` ones that its router rates highest."""

    count: int
    active: int
    intermediate_size: int
    shared_size: int = 0  # inner width of an MLP every token goes through besides
    normalised: bool = True  # the chosen weights are made to add up to one
    scale: float = 1.0  # of the chosen weights
    layers: tuple[bool, ...] = ()  # which layers have them; the others have a plain MLP


@dataclass(frozen=True)
class DecoderConfig:
    """Shapes and switches of one decoder-only transformer.

    `names` maps our module paths to the checkpoint's, with `{}` for the layer (and a second one for the expert);
    adapters are named by the latter. A path without a name here has no place in the checkpoint, so it is not built.
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

    # positions
    ropes: tuple[Rope, ...] = ()
    layer_ropes: tuple[int | None, ...] = ()  # which of `ropes` each layer turns by; None: none
    learned_positions: int = 0  # rows of a learned table of positions
    position_offset: int = 0  # the row of the first position
    windows: tuple[int | None, ...] = ()  # of each layer: a token sees itself and the window-1 before it

    # attention
    attention_scale: float | None = None  # of the scores; 1/√head_dim unless given
    attention_cap: float | None = None  # scores become cap · tanh(score / cap)
    qk_norm: Literal["head", "projection"] | None = None  # over what queries and keys are normed
    fused_qkv: Literal["blocks", "heads"] | None = None  # one projection: q|k|v, or q|k|v of each head in turn
    qkv_bias: bool = False
    output_bias: bool = False

    # MLP
    activation: Activation = "silu"
    gated: bool = True
    fused_gate_up: bool = False
    mlp_bias: bool = False
    experts: Experts | None = None

    # norms and residuals
    norm: Literal["rms", "layer"] = "rms"
    norm_offset: float = 0.0  # added to the gain
    pre_norm: bool = True
    post_norm: bool = False
    residual: Literal["sequential", "parallel", "shared"] = "sequential"  # "shared": parallel, behind one norm
    residual_scale: float = 1.0

    # both ends
    tied_head: bool = False
    head_bias: bool = False
    embedding_scale: float = 1.0
    logit_scale: float = 1.0
    logit_cap: float | None = None

    transposed: bool = False  # the checkpoint stores projections as [in, out]
    initializer_range: float = 0.02
    names: dict[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def query_size(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.kv_heads * self.head_dim

    @cached_property
    def distinct_windows(self) -> tuple[int | None, ...]:
        return tuple(dict.fromkeys(self.windows))

    def experts_of(self, layer: int) -> Experts | None:
        return self.experts if self.experts is not None and self.experts.layers[layer] else None
