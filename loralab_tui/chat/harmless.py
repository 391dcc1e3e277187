"""Strangers' text made safe to show and to copy: a model may say anything, escape sequences too."""

import re

_DROPPED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control codes but tab and line break; a broken escape sequence shows as text
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the writing direction of what stands around them
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"  # invisible
)
_BREAKS = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")
_BROKEN = re.compile("[\ud800-\udfff]")  # halves of characters, which no terminal can be sent


def harmless(text: str) -> str:
    """`text` without anything that acts on a terminal; what can be read stays as it is."""
    lines = _BREAKS.sub("\n", text).replace("\t", "    ")
    return _DROPPED.sub("", _BROKEN.sub("\ufffd", lines))
