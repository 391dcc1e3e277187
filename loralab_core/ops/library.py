"""The operators' namespace: torch.ops.loralab. Schemas are defined where an operator's reference is.

Compiled kernels register beside the references once they are loaded (loralab_core/ops/native). Autograd's part is in
the functions that call an operator: registered with it, torch would go through Python twice as often.
"""

from collections.abc import Callable
from typing import Any

import torch

LIBRARY = torch.library.Library("loralab", "DEF")  # type: ignore[no-untyped-call]


def define(schema: str, reference: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """A new operator, with its reference for every device. Returns what is called, looked up once."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, reference, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"loralab::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.loralab, name).default
