"""The operators' namespace: torch.ops.loralab. Schemas are defined where an operator's reference is.

Compiled kernels register beside the references once they are loaded (loralab_core/ops/native).
"""

import torch

LIBRARY = torch.library.Library("loralab", "DEF")  # type: ignore[no-untyped-call]
