"""Text with the loss mask: wrapped to a width, with a bar beside every line that is trained on.

Colour says it, and the bar says it without colour; where a line is only partly trained, that part is underlined.
"""

import re
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from textual.content import Content

BAR = "▌"
LEGEND = Content.assemble(
    (BAR, "$lora-voice"), " trained on, underlined where only part of a line is   ", ("no bar: only read", "$quiet")
)
# A corpus may hold what acts on a terminal; it gets pictures of that, since the model sees it too.
CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
TURNING = (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # writing direction
VISIBLE = CONTROLS | dict.fromkeys((*range(0x80, 0xA0), *TURNING, *range(0xD800, 0xE000)), 0xFFFD)
Parts = list[tuple[str, bool]]


def content(parts: Parts, width: int) -> Content:
    """`parts` on lines of at most `width` cells, the bar's two included."""
    return Content("\n").join(_painted(line) for line in wrapped(parts, max(8, width - 2)))


def wrapped(parts: Parts, width: int) -> Iterator[Parts]:
    """Lines of at most `width` cells, broken behind spaces where there are any."""
    line: Parts = []
    used = 0
    for text, trained in parts:
        for word in re.findall(r"\n|[^\s]+[^\S\n]*|[^\S\n]+", text.expandtabs(4).translate(VISIBLE)):
            if word == "\n":
                yield [*line, ("", trained)]
                line, used = [], 0
                continue
            while used + cell_len(word.rstrip()) > width:
                if used:
                    yield line
                    line, used = [], 0
                    continue
                head = _head(word, width)
                yield [(head, trained)]
                word = word[len(head) :]
            line.append((word, trained))
            used += cell_len(word)
    if line:
        yield line


def _head(word: str, width: int) -> str:
    """As many characters as fit into `width` cells; one at least."""
    return set_cell_size(word, width).rstrip() or word[0]


def _painted(line: Parts) -> Content:
    kinds = {trained for text, trained in line if text.strip()} or {trained for _, trained in line}
    bar = (f"{BAR} ", "$lora-voice") if True in kinds else ("  ", "")
    own = "$foreground underline" if len(kinds) > 1 else "$foreground"
    return Content.assemble(bar, *((text, own if trained else "$quiet") for text, trained in line))
