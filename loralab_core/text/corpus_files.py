"""Which files a corpus is made of: paths, folders and globs as one ordered list, refused early when unusable."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.paths import expand_user

READABLE = (".txt", ".md", ".jsonl", ".json")
_KINDS = "a .txt, .md, .jsonl or .json file"
_HEAD = 1 << 16


def expand(paths: Sequence[str | Path]) -> list[Path]:
    """Files in the order given, folders and globs sorted; BadInput names what is missing, empty or not text."""
    if not paths:
        raise BadInput(f"no corpus was given; name {_KINDS}, a folder or a glob")
    files = [file for path in paths for file in _expand_one(str(path))]
    distinct = list(dict.fromkeys(file.absolute() for file in files))
    for file in distinct:
        _check_readable(file)
    return distinct


def _expand_one(given: str) -> list[Path]:
    path = expand_user(given)
    if path.is_dir():
        return _inside(path)
    if path.exists():
        return [_known_kind(path)]
    if glob.has_magic(given):
        return _matching(given, path)
    raise BadInput(f"{given} does not exist; check the path of the corpus")


def _inside(directory: Path) -> list[Path]:
    found = [
        path
        for path in sorted(directory.rglob("*"))
        if path.suffix.lower() in READABLE
        and path.is_file()
        and path.stat().st_size
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    ]
    if not found:
        raise BadInput(f"{directory} holds no readable corpus file; put {_KINDS} into it")
    return found


def _matching(given: str, pattern: Path) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]
    files = [path for path in matches if path.is_file() and path.suffix.lower() in READABLE]
    folders = [file for path in matches if path.is_dir() for file in _inside(path)] if not files else []
    if not files and not folders:
        raise BadInput(f"{given} matches no readable file; quote the glob and name {_KINDS}")
    return files + folders


def _known_kind(path: Path) -> Path:
    if path.suffix.lower() not in READABLE:
        raise BadInput(f"{path} is not {_KINDS}; convert it or rename it if it is one")
    return path


def _check_readable(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    if not head.strip():
        raise BadInput(f"{path} is empty; give a corpus with text in it")
    refuse_binary(path, head, 0)


def refuse_binary(path: Path, block: bytes, offset: int) -> None:
    """BadInput when `block`, which begins at byte `offset` of `path`, holds a NUL byte."""
    if (position := block.find(b"\0")) >= 0:
        raise BadInput(f"{path} is not UTF-8 text (NUL at byte {offset + position}); save it as UTF-8 text first")


def decode_utf8(path: Path, block: bytes, offset: int) -> str:
    """Text of `block`, which begins at byte `offset` of `path`; BadInput gives the offset of the first bad byte."""
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not valid UTF-8 at byte {offset + error.start}; save it as UTF-8 text first"
        ) from None


def total_bytes(files: Sequence[Path]) -> int:
    return sum(os.stat(file).st_size for file in files)
