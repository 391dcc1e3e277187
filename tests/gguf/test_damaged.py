"""Whatever is wrong with a file is said in one sentence that names it, before anything large is made of it."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loralab_core.errors import BadInput
from loralab_core.gguf import read_gguf
from tests.gguf.writer import KINDS, MAGIC, gguf, info, stored, text, write

METADATA = {"general.architecture": "llama", "llama.block_count": 2, "tokenizer.ggml.tokens": ["a", "ß", ""]}
TENSORS = {"x": stored(np.zeros((2, 32))), "y": stored(np.zeros(5))}
WHOLE = gguf(METADATA, TENSORS)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_gguf(path)
    sentence = str(raised.value)
    assert str(path) in sentence and "\n" not in sentence
    for word in words:
        assert word in sentence


def head(tensors: int, entries: int, rest: bytes = b"", version: int = 3) -> bytes:
    return MAGIC + struct.pack("<IQQ", version, tensors, entries) + rest


def one(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return head(1, 0, info(name, shape, kind, offset)) + bytes(512)


HUGE = struct.pack("<Q", 1 << 60)
LIST = text("k") + struct.pack("<I", 9)
CASES = {
    "nothing": (b"", "not a GGUF file"),
    "another magic": (b"GGML" + WHOLE[4:], "not a GGUF file"),
    "only a magic": (MAGIC, "cut short"),
    "version 1": (head(0, 0, version=1), "version 1"),
    "big-endian": (MAGIC + struct.pack(">IQQ", 3, 0, 0), "version"),
    "2^60 tensors": (head(1 << 60, 0, bytes(512)), "claims"),
    "2^60 entries": (head(0, 1 << 60, bytes(512)), "claims"),
    "more tensors than bytes": (head(100, 0, bytes(512)), "claims"),
    "a name of 2^60 bytes": (head(0, 1, HUGE + bytes(512)), "cut short"),
    "a list of 2^60 texts": (head(0, 1, LIST + struct.pack("<I", 8) + HUGE), "claims"),
    "a list of 2^60 numbers": (head(0, 1, LIST + struct.pack("<I", 0) + HUGE), "claims"),
    "a list of lists": (head(0, 1, LIST + struct.pack("<IQ", 9, 1) + bytes(64)), "unknown kind 9"),
    "an unknown value": (head(0, 1, text("k") + struct.pack("<I", 99) + bytes(64)), "unknown kind 99"),
    "a name that is not UTF-8": (head(0, 1, struct.pack("<Q", 2) + b"\xff\xfe" + bytes(64)), "UTF-8"),
    "a tensor outside": (one("x", (4, 4), 0, 1 << 40), "cut short", "x"),
    "a tensor of 2^126 elements": (one("x", (1 << 63, 1 << 63), 0, 0), "cut short"),
    "no rows": (one("x", (0, 32), 0, 0), "shape"),
    "half a block": (one("x", (2, 40), KINDS["Q8_0"], 0), "shape", "Q8_0"),
    "nine dimensions": (one("x", (1,) * 9, 0, 0), "9 dimensions"),
    "Q4_K": (one("blk.0.attn_q.weight", (1, 256), KINDS["Q4_K"], 0), "blk.0.attn_q.weight", "Q4_K", "use", "Q8_0"),
    "IQ4_XS": (one("x", (1, 256), KINDS["IQ4_XS"], 0), "IQ4_XS"),
    "a type of the future": (one("x", (1, 256), 4711, 0), "type 4711"),
    "alignment": (gguf(METADATA | {"general.alignment": 3}, TENSORS), "alignment"),
    "one name twice": (head(2, 0, info("x", (2,), 0, 0) * 2) + bytes(512), "same name"),
    "a part": (gguf(METADATA | {"split.count": 3}, TENSORS), "3 parts", "join"),
    "an adapter": (gguf(METADATA | {"general.type": "adapter"}, TENSORS), "adapter"),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_sentence(case: str, tmp_path: Path) -> None:
    content, *words = CASES[case]
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    refused(path, *words)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20, "what a header claims must not be allocated"
    tracemalloc.stop()


def test_cut_off_anywhere(tmp_path: Path) -> None:
    for length in range(len(WHOLE)):
        path = tmp_path / f"{length}.gguf"
        path.write_bytes(WHOLE[:length])
        refused(path)


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        content = bytearray(WHOLE)
        for place in data.draw(st.lists(st.integers(4, len(WHOLE) - 1), max_size=6)):
            content[place] = data.draw(st.integers(0, 255))
        path = tmp_path / "x.gguf"
        path.write_bytes(content)
        try:
            read_gguf(path)
        except BadInput as error:
            assert str(path) in str(error)

    check()


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    more = METADATA | {"a": True, "b": -3, "c": 0.5, "d": "text", "e": [1, 2], "f": [0.5], "g": [True, False], "h": []}
    found = read_gguf(write(tmp_path / "x.gguf", more, TENSORS))
    assert found.metadata == more
    assert {name: info.shape for name, info in found.tensors.items()} == {"x": (2, 32), "y": (5,)}


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", {"k": 1}, {})
    assert read_gguf(path).metadata == {"k": 1}
    write(path, {"key": 2}, {})
    assert read_gguf(path).metadata == {"key": 2}
