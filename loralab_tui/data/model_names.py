"""What a model is called: the last part of its path says nothing where every model's directory has the same name."""

import os
import re
from pathlib import Path

CACHED = re.compile(r"models--(.+)/snapshots/[0-9a-f]+/?$")
SNAPSHOT = re.compile(r"models--(?:.+--)?(.+)/snapshots/[0-9a-f]+/?$")


def model_name(reference: str) -> str:
    """ "…/pocket/model" is Pocket, a snapshot in the Hugging Face cache has its repository's name."""
    if cached := SNAPSHOT.search(reference):
        return cached[1]
    path = Path(reference)
    if path.is_absolute():
        return path.parent.name.capitalize() if path.name == "model" else path.name
    id, at, revision = reference.partition("@")  # a revision may hold slashes, as refs/pr/3 does
    return Path(id).name + at + revision


def same_model(one: str, other: str) -> bool:
    """Whether two references lead to one model: a download by its id or its directory, a directory by any link."""
    return _place(one) == _place(other)


def _place(reference: str) -> str:
    if cached := CACHED.search(reference):
        return cached[1].replace("--", "/")
    return os.path.realpath(reference) if os.path.isdir(reference) else reference
