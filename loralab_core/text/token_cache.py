"""Tokenised corpora on disk: a directory that is complete or absent, opened as memory maps.

ids.bin      uint16 or uint32 [tokens]
mask.bin     uint8 [tokens]          1: trained
offsets.bin  int64 [rows + 1]        where each row begins
hashes.bin   uint64 [rows]
kinds.bin    uint8 [rows]            RowKind
about.json   TokenStoreInfo
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.files import sync_directory

_ABOUT = "about.json"
_LOCK = "writing.lock"
_YOUNG = 60.0  # seconds; a directory this young may not have its lock yet


class RowKind(IntEnum):
    CHAT = 0
    TEXT = 1  # a text row of a JSON file
    DOCUMENT = 2  # of a text file; always split, never cut


@dataclass(kw_only=True, frozen=True)
class TokenStoreInfo:
    """about.json. `skipped`: rows with nothing to train on; `refused` of them the chat template would not render."""

    dtype: str
    rows: int
    tokens: int
    skipped: int = 0
    refused: int = 0
    refusal: str = ""
    first_skipped: str = ""  # "line 7 of corpus.jsonl"
    format: str = ""
    notes: tuple[str, ...] = ()


class TokenStore:
    """A complete store, memory-mapped read-only."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError or ValueError where the directory is absent or damaged."""
        import msgspec

        self.directory = directory
        self.info = msgspec.json.decode((directory / _ABOUT).read_bytes(), type=TokenStoreInfo)
        rows, tokens = self.info.rows, self.info.tokens
        self.ids: npt.NDArray[Any] = self._map("ids.bin", self.info.dtype, tokens)
        self.mask: npt.NDArray[np.uint8] = self._map("mask.bin", "uint8", tokens)
        self.offsets: npt.NDArray[np.int64] = self._map("offsets.bin", "int64", rows + 1)
        self.hashes: npt.NDArray[np.uint64] = self._map("hashes.bin", "uint64", rows)
        self.kinds: npt.NDArray[np.uint8] = self._map("kinds.bin", "uint8", rows)

    def _map(self, name: str, dtype: str, length: int) -> npt.NDArray[Any]:
        path = self.directory / name
        if path.stat().st_size != np.dtype(dtype).itemsize * length:
            raise ValueError(f"{path} has the wrong size")
        if not length:
            return np.empty(0, dtype)
        return np.memmap(path, dtype, "r", shape=(length,))


class TokenStoreWriter:
    """Appends rows to the files of a store that is being made."""

    def __init__(self, directory: Path, dtype: str) -> None:
        self.rows = 0
        self.tokens = 0
        self._directory = directory
        self._dtype = np.dtype(dtype)
        names = ("ids", "mask", "offsets", "hashes", "kinds")
        self._open = ExitStack()
        self._files: dict[str, IO[bytes]] = {name: self._file(name) for name in names}
        self._files["offsets"].write(np.int64(0).tobytes())

    def _file(self, name: str) -> IO[bytes]:
        return self._open.enter_context(open(self._directory / f"{name}.bin", "wb"))

    def add(self, ids: npt.NDArray[Any], mask: npt.NDArray[np.uint8], row_hash: int, kind: RowKind) -> None:
        self.rows += 1
        self.tokens += len(ids)
        self._files["ids"].write(ids.astype(self._dtype, copy=False).tobytes())
        self._files["mask"].write(mask.tobytes())
        self._files["offsets"].write(np.int64(self.tokens).tobytes())
        self._files["hashes"].write(np.uint64(row_hash).tobytes())
        self._files["kinds"].write(np.uint8(kind).tobytes())

    def close(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._files = {}
        self._open.close()

    def finish(self, **about: Any) -> None:
        """Close, and write what makes the directory a store."""
        import msgspec

        self.close()
        info = TokenStoreInfo(dtype=self._dtype.name, rows=self.rows, tokens=self.tokens, **about)
        with open(self._directory / _ABOUT, "wb") as file:
            file.write(msgspec.json.encode(info))
            file.flush()
            os.fsync(file.fileno())


def open_or_make(directory: Path, dtype: str, fill: Callable[[TokenStoreWriter], None]) -> TokenStore:
    """The store at `directory`, made by `fill(writer)` where there is none or a damaged one.

    It is made beside its place and renamed when complete; of several processes that make the same one at once, the
    first to finish wins and all get a whole store. Raises what `fill` raises, and LoraLabError when the disk refuses.
    """
    if _is_whole(directory):
        return TokenStore(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _sweep(directory.parent)
        return _make(directory, dtype, fill)
    except OSError as error:
        raise LoraLabError(
            explain_os_error(error, f"store the tokenised corpus in {directory.parent}") + "; make room there or set "
            "LORALAB_HOME to another place"
        ) from error


def _make(directory: Path, dtype: str, fill: Callable[[TokenStoreWriter], None]) -> TokenStore:
    beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".tmp", dir=directory.parent))
    try:
        with open(beside / _LOCK, "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            writer = TokenStoreWriter(beside, dtype)
            try:
                fill(writer)
            finally:
                writer.close()
            _put_in_place(beside, directory)
        return TokenStore(directory)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _put_in_place(beside: Path, directory: Path) -> None:
    try:
        os.rename(beside, directory)
    except OSError:
        if _is_whole(directory):  # another process was faster, with the same content
            shutil.rmtree(beside, ignore_errors=True)
            return
        shutil.rmtree(directory)
        os.rename(beside, directory)
    sync_directory(directory.parent)


def _is_whole(directory: Path) -> bool:
    import msgspec

    try:
        TokenStore(directory)
    except (OSError, ValueError, msgspec.DecodeError):
        return False
    return True


def _sweep(parent: Path) -> None:
    """Remove what killed processes left: a maker holds its lock, so a lock that can be had has no maker."""
    for left in parent.glob(".*.tmp"):
        try:
            if time.time() - left.stat().st_mtime < _YOUNG:
                continue
            with open(left / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
