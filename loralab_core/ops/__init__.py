"""Every operator once. Plain PyTorch here; compiled backends register beside it without changing a caller."""

from loralab_core.ops.attention import AttentionPlan, attention
from loralab_core.ops.cross_entropy import linear_cross_entropy
from loralab_core.ops.elementwise import activate, gated, layer_norm, rms_norm, rotary, soft_cap
from loralab_core.ops.linear import Lora, linear

__all__ = [
    "AttentionPlan",
    "Lora",
    "activate",
    "attention",
    "gated",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "rms_norm",
    "rotary",
    "soft_cap",
]
