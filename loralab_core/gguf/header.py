"""The values a GGUF header is made of, taken one after the other from its bytes."""

import mmap
import struct
from typing import Any

from loralab_core.gguf.types import ARRAY, NUMBERS, TEXT

LENGTH = struct.Struct("<Q")
MOST = 1 << 24  # entries of a list and bytes of a text: what claims more is damaged, whatever the size of the file


class Damaged(Exception):
    """Carries what is wrong, as half a sentence."""


class Header:
    """`at` is the byte that comes next. Whatever does not fit into the file raises Damaged."""

    def __init__(self, content: mmap.mmap | bytes, at: int):
        self.content, self.at = content, at

    @property
    def left(self) -> int:
        return len(self.content) - self.at

    def number(self, code: str) -> Any:
        return self.numbers(code, 1)[0]

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        """`code` is that of `struct`."""
        layout = struct.Struct(f"<{count}{code}")
        if layout.size > self.left:
            raise Damaged("it is cut short")
        self.at += layout.size
        return layout.unpack_from(self.content, self.at - layout.size)

    def count(self, least: int) -> int:
        """How many things follow, each of `least` bytes or more."""
        claimed: int = self.number("Q")
        if claimed > MOST or claimed * least > self.left:
            raise Damaged(f"it claims {claimed:,} entries where {max(self.left, 0):,} bytes are left")
        return claimed

    def text(self) -> str:
        return self.texts(1)[0]

    def texts(self, count: int) -> list[str]:
        """A vocabulary has hundreds of thousands, so this is one tight loop."""
        content, at, end, found = self.content, self.at, len(self.content), []
        for _ in range(count):
            length = LENGTH.unpack_from(content, at)[0] if at + LENGTH.size <= end else MOST + 1
            at += LENGTH.size
            if length > MOST or at + length > end:
                raise Damaged("a text in it is cut short")
            found.append(content[at : at + length])
            at += length
        self.at = at
        try:
            return [text.decode() for text in found]
        except UnicodeDecodeError:
            raise Damaged("a text in it is not UTF-8") from None

    def entry(self) -> tuple[str, Any]:
        key, kind = self.text(), self.number("I")
        return key, self._array(key) if kind == ARRAY else self._values(key, kind, 1)[0]

    def _array(self, key: str) -> list[Any]:
        kind = self.number("I")
        return self._values(key, kind, self.count(8 if kind == TEXT else 1))

    def _values(self, key: str, kind: int, count: int) -> list[Any]:
        if kind == TEXT:
            return self.texts(count)
        if kind not in NUMBERS:
            raise Damaged(f"{key} is a value of the unknown kind {kind}")
        return list(self.numbers(NUMBERS[kind], count))
