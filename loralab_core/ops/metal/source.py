"""The text of a kernel file, whole: torch.mps.compile_shader takes one string and knows no directory of ours."""

import re

from loralab_core.errors import LoraLabError
from loralab_core.ops.native.sources import sources

INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)
FILES = ("dequantize", "rows", "tiles", "adam8bit", "norm", "rotary", "gate", "loss")


def source(name: str) -> str:
    """csrc/metal/<name>.metal with every `#include "…"` replaced by that file, once; <…> stays for Metal.

    Raises LoraLabError for what is not ASCII: torch hands the text on in that encoding, and Metal would see nothing.
    """
    text = _expanded(f"{name}.metal", set())
    if not text.isascii():
        raise LoraLabError(
            f"csrc/metal/{name}.metal, or what it includes, has letters beyond ASCII; Metal gets no others"
        )
    return text


def _expanded(file: str, seen: set[str]) -> str:
    if file in seen:
        return ""
    seen.add(file)
    text = (sources() / "metal" / file).read_text(encoding="utf-8")
    return INCLUDE.sub(lambda found: _expanded(found[1], seen), text)
