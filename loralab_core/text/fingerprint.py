"""The fingerprint of a corpus: sha256 of what its files hold, remembered so that asking again is cheap."""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from loralab_core import paths as places
from loralab_core.errors import BadInput, explain_os_error
from loralab_core.files import write_atomic
from loralab_core.text.corpus_files import expand

_BLOCK = 1 << 22
_SETTLED = 2.0  # seconds: a file younger than this could change again within the same time stamp
_KEPT = 4096

Stamp = tuple[int, int, int, int]


def fingerprint_of(paths: Sequence[str | Path], cache: Path | None = None) -> str:
    """sha256 (hex) over the kinds and contents of the corpus' files, in order. Names and places do not matter.

    `cache` is where digests are remembered (default: LORALAB_HOME's cache). Raises BadInput as `expand` does.
    """
    return fingerprint_files(expand(paths), cache)


def fingerprint_files(files: Sequence[Path], cache: Path | None = None) -> str:
    """`fingerprint_of` for files already expanded."""
    memory = _Memory((cache or places.cache_dir()) / "digests.json")
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.suffix.lower()} {memory.digest(file)}\n".encode())
    memory.save()
    return whole.hexdigest()


def stamps(files: Sequence[Path]) -> list[Stamp]:
    """What changes when a file does: device, inode, size, modification time."""
    return [_stamp(file) for file in files]


def _stamp(file: Path) -> Stamp:
    try:
        found = os.stat(file)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class _Memory:
    """Digests by path and stamp. A convenience: an unreadable or unwritable store only costs the hashing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._known: dict[str, tuple[Stamp, str]] = {}
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[Stamp, str]])

    def digest(self, file: Path) -> str:
        stamp = _stamp(file)
        known = self._known.get(str(file))
        if known and tuple(known[0]) == stamp:
            return known[1]
        digest = _hash(file)
        if time.time() - stamp[3] / 1e9 > _SETTLED and _stamp(file) == stamp:
            self._known.pop(str(file), None)
            self._known[str(file)] = (stamp, digest)
            self._changed = True
        return digest

    def save(self) -> None:
        if not self._changed:
            return
        newest = dict(list(self._known.items())[-_KEPT:])
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path, msgspec.json.encode(newest))


def _hash(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(file, "rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from None
    return digest.hexdigest()
