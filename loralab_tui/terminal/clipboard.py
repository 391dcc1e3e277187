"""Copying through the terminal (OSC 52): the text lands in the clipboard of the computer one sits at, over SSH too.

The terminal never answers, so nothing here can know whether it took the text.
"""

import base64
import os
from collections.abc import Mapping

TMUX_LINE = "set -g set-clipboard on"
SAFE_BYTES = 74_994  # many terminals drop a sequence above 100,000 characters, which is this much in base64


def sequence(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """What to write to the terminal.

    tmux takes the plain sequence where `set-clipboard` is on, and hands a wrapped one on where `allow-passthrough`
    is; both together reach the clipboard under either setting.
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    if not environment.get("TMUX"):
        return plain
    return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def where(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Where it went, and what to do if it is not there."""
    size = len(text.encode())
    if size > SAFE_BYTES:
        return f"to your terminal's clipboard; {size:,} bytes are more than some terminals take"
    if environment.get("TMUX"):
        return f"to your terminal's clipboard, through tmux (if it is not there: `{TMUX_LINE}` in ~/.tmux.conf)"
    return "to your terminal's clipboard"
