"""Hugging Face's own cache of downloads, shared with every other program that uses the Hub.

    models--owner--name/blobs/<etag>   snapshots/<commit>/<file> → ../../blobs/<etag>   refs/<revision>: a commit

(https://huggingface.co/docs/huggingface_hub/guides/manage-cache.) A file's etag is the SHA-256 of a large file and
git's id of a small one.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from loralab_core.catalog.reference import HubReference
from loralab_core.files import write_atomic

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_cache() -> Path:
    """Where huggingface_hub keeps downloads, by the same variables; that library is slow to import."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return _expanded(cache)
    base = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return _expanded(base) / "hub"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))


@dataclass(frozen=True)
class CachedRepository:
    """One model's place in the cache; it need not exist."""

    id: str

    @property
    def path(self) -> Path:
        """That of the same id in other letter case where there is one: to the Hub they are one model."""
        exact = hub_cache() / f"models--{self.id.replace('/', '--')}"
        if exact.is_dir() or not exact.parent.is_dir():
            return exact
        others = (other for other in exact.parent.iterdir() if other.name.lower() == exact.name.lower())
        return next(others, exact)

    def snapshot(self, commit: str) -> Path:
        return self.path / "snapshots" / commit

    def blob(self, etag: str) -> Path:
        return self.path / "blobs" / etag

    def partial(self, etag: str) -> Path:
        """What has arrived of a file."""
        return self.path / "blobs" / f"{etag}.incomplete"

    def commit(self, revision: str | None) -> str | None:
        """The commit that a branch or tag had when it was last downloaded."""
        if revision and _COMMIT.fullmatch(revision):
            return revision
        try:
            return (self.path / "refs" / (revision or "main")).read_text().strip() or None
        except OSError:
            return None

    def revisions(self) -> dict[str, str | None]:
        """What the commits here are called: None is the main branch."""
        refs = self.path / "refs"
        names = sorted(str(ref.relative_to(refs)) for ref in refs.rglob("*") if ref.is_file())
        named = {commit: name for name in names if (commit := self.commit(name))}
        return named | {commit: None for commit in [self.commit(None)] if commit}

    def note_commit(self, revision: str | None, commit: str) -> None:
        if revision == commit:
            return
        ref = self.path / "refs" / (revision or "main")
        ref.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(ref, commit.encode())

    def place(self, etag: str, commit: str, name: str) -> None:
        """Show the arrived blob under its name; moved there where the file system has no links."""
        pointer = self.snapshot(commit) / name
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.unlink(missing_ok=True)
        try:
            pointer.symlink_to(Path("../../blobs") / etag)
        except FileExistsError:  # another program has placed it meanwhile
            pass
        except OSError:
            shutil.move(self.blob(etag), pointer)


def cached_model(reference: HubReference, weights: bool = True) -> Path | None:
    """The snapshot's directory if all of it is here; `weights=False` asks for what a tokenizer needs only."""
    repository = CachedRepository(reference.id)
    commit = repository.commit(reference.revision)
    if commit is None:
        return None
    snapshot = repository.snapshot(commit)
    whole = is_whole(snapshot) if weights else (snapshot / "config.json").is_file() and _has_tokenizer(snapshot)
    return snapshot if whole else None


def _has_tokenizer(snapshot: Path) -> bool:
    return any((snapshot / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))


def is_whole(snapshot: Path) -> bool:
    """Whether the configuration and every weight file are there. A link to a blob that is gone counts for nothing."""
    if not (snapshot / "config.json").is_file():
        return False
    if (snapshot / SINGLE).is_file():
        return True
    try:
        names = shard_names(snapshot / INDEX)
    except (OSError, ValueError):
        return False
    return bool(names) and all((snapshot / name).is_file() for name in names)


def shard_names(index: Path) -> list[str]:
    """The weight files that model.safetensors.index.json lists. OSError, or ValueError where it is no such list."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{index} is not a valid safetensors index") from None
    if not all(isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors") for name in names):
        raise ValueError(f"{index} names a file outside the model's directory")
    return names


def cached_models() -> Iterator[tuple[HubReference, Path]]:
    """(reference, snapshot directory) of every model that is here as a whole; of a model whose branches and tags are
    here, only what they lead to."""
    try:
        configs = sorted(hub_cache().glob("models--*/snapshots/*/config.json"))
        whole = [config.parent for config in configs if is_whole(config.parent)]
        for place, snapshots in groupby(whole, lambda snapshot: snapshot.parents[1]):
            id = place.name.removeprefix("models--").replace("--", "/")
            revisions, here = CachedRepository(id).revisions(), list(snapshots)
            for snapshot in [one for one in here if one.name in revisions] or here:
                yield HubReference(id, revisions.get(snapshot.name, snapshot.name)), snapshot
    except OSError:
        return


def matches(file: Path, etag: str) -> bool:
    """Whether the content is what `etag` promises: 64 digits are its SHA-256, 40 are git's id."""
    size = file.stat().st_size
    digest = hashlib.sha256() if len(etag) == 64 else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with open(file, "rb") as opened:
        while block := opened.read(1 << 22):
            digest.update(block)
    return digest.hexdigest() == etag
