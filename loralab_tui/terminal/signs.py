"""Every sign of the screen in ASCII, for terminals that have no more; applied to finished lines, in one place."""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

SIGNS = {
    **dict.fromkeys("─━═╌┄┈╴╶╸╺╼╾⎯", "-"),
    **dict.fromkeys("│┃║╎┆┊▏▎▍▌▐▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝┏┓┗┛┣┫┳┻╋┡┩╒╕╘╛", "+"),
    **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
    **dict.fromkeys("▔▀", "-"),
    **dict.fromkeys("■▪▮▓▒▖▗▘▝▚▞▙▛▜▟", "#"),
    **dict.fromkeys("▫□▯░", "."),
    **dict.fromkeys("●⬤◉", "*"),
    **dict.fromkeys("○◯◌", "o"),
    **dict.fromkeys("◆◇♦★☆", "*"),
    **dict.fromkeys("▸▶►→↗⇒❯›", ">"),
    **dict.fromkeys("◂◀◄←‹", "<"),
    **dict.fromkeys("▾▼↓", "v"),
    **dict.fromkeys("▲↑⇧", "^"),
    **dict.fromkeys("△▵", "/"),
    **dict.fromkeys("↻↺⟳", "@"),
    **dict.fromkeys("·•∙", "."),
    **dict.fromkeys("‖≡", "="),
    **dict.fromkeys("✓✔", "+"),
    **dict.fromkeys("✕✗✘×", "x"),
    **dict.fromkeys("–—‐‑−", "-"),
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("“”″", '"'),
    "…": ".",
    "━": "=",
    "⎿": "'",
    "≈": "~",
    "±": "~",
    "⏎": "<",
    "│": "|",
    "\N{NO-BREAK SPACE}": " ",
}
BRAILLE = 0x2800


def plain(letter: str) -> str:
    """In ASCII and as wide: a sign's stand-in, a letter without its accent, or question marks."""
    if letter.isascii():
        return letter
    if letter in SIGNS:
        return SIGNS[letter]
    if BRAILLE <= ord(letter) < BRAILLE + 256:
        return _dots(ord(letter) - BRAILLE)
    bare = unicodedata.normalize("NFKD", letter)[0]
    width = cell_len(letter)
    return bare if bare.isascii() and bare.isprintable() and width == 1 else "?" * width


def _dots(dots: int) -> str:
    """A piece of a curve: where in its cell the dots are."""
    if not dots:
        return " "
    top, bottom = dots & 0b0000_1001, dots & 0b1100_0000
    if top and bottom:
        return "|"
    return "'" if top and not dots & 0b0011_0110 else "_" if bottom and not dots & 0b0001_0010 else "-"


@lru_cache(4096)
def in_ascii(text: str) -> str:
    return text if text.isascii() else "".join(plain(letter) for letter in text)


class AsciiFilter(LineFilter):
    """The last step before a line goes out, so that no widget has to think of it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
