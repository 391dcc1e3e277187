"""The 16-bit numbers that a box is measured in: bf16, and fp16 where a chip has no products of bf16."""

import torch

from loralab_core.ops.native.gpu import BF16

NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def half(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < BF16:
        return torch.float16
    return torch.bfloat16


def name_of(device: torch.device) -> str:
    return NAMES[half(device)]
