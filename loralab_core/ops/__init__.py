"""Every operator once. Plain PyTorch here; compiled backends register beside it without changing a caller."""

from loralab_core.ops.attention import attention
from loralab_core.ops.attention_plan import AttentionPlan
from loralab_core.ops.cross_entropy import linear_cross_entropy
from loralab_core.ops.dequantize import dequantize
from loralab_core.ops.elementwise import activate, soft_cap
from loralab_core.ops.gated import gated, gated_halves
from loralab_core.ops.linear import linear
from loralab_core.ops.lora import Lora
from loralab_core.ops.norm import layer_norm, rms_norm
from loralab_core.ops.quant_linear import quant_linear, quant_linears
from loralab_core.ops.quant_matmul import Compute
from loralab_core.ops.rotary import rotary

__all__ = [
    "AttentionPlan",
    "Compute",
    "Lora",
    "activate",
    "attention",
    "dequantize",
    "gated",
    "gated_halves",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "quant_linear",
    "quant_linears",
    "rms_norm",
    "rotary",
    "soft_cap",
]
