"""Number formats a run may ask for: of the base, and of products with it."""

from typing import Literal

from loralab_core.errors import BadInput

Base = Literal["auto", "fp32", "bf16", "fp16", "nf4", "nf4-fitted", "int4", "int4-fitted", "int8"]
QUANTISED = ("nf4", "nf4-fitted", "int4", "int4-fitted", "int8")
Compute = Literal["auto", "w4a16", "w4a8-grad", "w4a8"]


def check_compute(compute: str, base: str) -> None:
    """BadInput for products in 8 bits with weights that are not quantised."""
    if compute.startswith("w4a8") and base not in QUANTISED:
        raise BadInput(f"--compute {compute} is for quantised weights; give --base {', '.join(QUANTISED)} with it")
