"""From what a user calls a model (a directory, a GGUF file, "pocket", a Hub id or address) to where its files are."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.catalog.bar import Bar
from loralab_core.catalog.download import fetch
from loralab_core.catalog.hub_cache import INDEX, CachedRepository, cached_model, shard_names
from loralab_core.catalog.hub_errors import explained
from loralab_core.catalog.meter import Progress
from loralab_core.catalog.pocket import NAME, POCKET
from loralab_core.catalog.reference import HubReference, hub_reference
from loralab_core.catalog.repository import (
    PATIENCE_S,
    SHORT_PATIENCE_S,
    HubFile,
    Repository,
    look_up,
    refuse_unusable,
)
from loralab_core.errors import BadInput
from loralab_core.paths import expand_user

Check = Callable[[dict[str, Any], str], object]
"""`check(config, source)` raises BadInput for a parsed config.json that cannot be opened; architecture knows which."""


def resolve_model(
    text: str, check: Check | None = None, progress: Progress | None = None, *, weights: bool = True
) -> Path:
    """The model's directory or GGUF file, downloaded first if `text` names a Hub model that is not in the cache yet.

    The word "pocket" is the model that comes with LoRA Lab, unless a directory here is called so. `check` looks at
    the configuration before anything large is downloaded, `progress(done, total, what)` counts bytes; without it a
    bar is shown on stderr. `weights=False` is enough for a tokenizer.
    Raises BadInput for what does not exist, is closed to this user or can never be opened here, LoraLabError when
    the network fails or the disk is too small.
    """
    if text.startswith("~"):
        text = str(expand_user(text))
    if os.path.isdir(text):
        return Path(text).resolve()
    if os.path.isfile(text):
        return _gguf_file(Path(text).absolute())
    if text == NAME:
        return POCKET
    if (reference := hub_reference(text)) is None:
        raise BadInput(
            f"{text} is neither a directory, nor a .gguf file, nor a Hub id such as owner/name, nor the word {NAME}"
        )
    return download(reference, check, progress, weights)


def _gguf_file(path: Path) -> Path:
    """By its name: whether it is one inside is told where it is read."""
    if path.suffix.lower() != ".gguf":
        raise BadInput(f"{path} is a file; give the directory it lies in, or a .gguf file")
    return path


def download(
    reference: HubReference, check: Check | None = None, progress: Progress | None = None, weights: bool = True
) -> Path:
    """Bring the cache up to the Hub's state, or be content with the cache where the Hub does not answer."""
    cached = cached_model(reference, weights)
    if cached is not None and reference.revision == cached.name:  # a commit never changes
        return cached
    with explained(reference):
        try:
            repository = look_up(reference, SHORT_PATIENCE_S if cached else PATIENCE_S)
        except Exception:
            if cached is not None:
                return cached
            raise
        refuse_unusable(repository)
        with Bar() as bar:
            return _bring(repository, check, progress or bar, weights)


def _bring(repository: Repository, check: Check | None, progress: Progress, weights: bool) -> Path:
    """Small files first: they say what else is needed, and whether it can be opened."""
    snapshot = fetch(repository, [repository.files["config.json"]], _silent)
    if check:
        check(read_config_json(snapshot / "config.json"), f"{repository.id}/config.json")
    small = repository.small_files()
    fetch(repository, small, _silent if weights else progress)
    if weights:
        fetch(repository, [*small, *weight_files(repository, snapshot)], progress)
    cache = CachedRepository(repository.id)
    if weights or cache.commit(repository.revision) is None:  # else offline use would lose a whole older one
        cache.note_commit(repository.revision, repository.commit)
    return snapshot


def weight_files(repository: Repository, snapshot: Path) -> list[HubFile]:
    """Those the index lists, if the snapshot has one by now. BadInput where the two do not fit."""
    index = snapshot / INDEX
    if not index.is_file():
        return repository.likely_weights()
    try:
        return repository.weights(shard_names(index))
    except ValueError as error:
        raise BadInput(f"{repository.id} cannot be used: {error}") from None


def read_config_json(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise BadInput(f"{path} is not a JSON object, so this is not a Transformers model; use another")
    return config


def _silent(done: int, total: int, what: str) -> None: ...
