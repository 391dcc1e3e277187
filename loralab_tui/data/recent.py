"""Corpora someone is likely to mean: those of earlier runs, and the sample that comes with the program."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from loralab_core.runs.directory import list_runs
from loralab_tui.terminal import dropped

MOST = 4


@dataclass(frozen=True)
class Known:
    """`about` says why it is listed."""

    path: str
    name: str
    about: str


def known_corpora() -> list[Known]:
    """Of the newest runs first, each once, as far as they still exist; then the sample. Reads files: for a thread."""
    found = {known.path: known for known in reversed([*_used(), *_sample()])}
    return list(reversed(found.values()))


def _used() -> Iterator[Known]:
    seen: set[str] = set()
    try:
        runs = list_runs()
    except OSError:  # they cannot be read; the sample still can
        return
    for _, record in reversed(runs):
        corpora = list(record.config.get("corpus") or [])
        path = str(corpora[0]) if len(corpora) == 1 else ""
        if path and path not in seen and os.path.exists(path):
            seen.add(path)
            yield Known(path, Path(path).name, f"run {record.name or record.id}")
        if len(seen) == MOST:
            return


def _sample() -> Iterator[Known]:
    path = Path(import_module("loralab_core.catalog.pocket").SAMPLE_CORPUS)
    if path.is_file():
        yield Known(str(path), path.name, "sample corpus")


def typed_path(text: str) -> str:
    """What was typed, dropped or pasted into a field for a path: quotes and escapes of one path are taken off."""
    paths = typed_paths(text)
    return paths[0] if len(paths) == 1 else text.strip()


def typed_paths(text: str) -> list[str]:
    """The same for a field that takes several; none where nothing is typed."""
    return dropped.paths_in(text) or [text.strip()] * bool(text.strip())
