"""What a model is called: the last part of its path says nothing where every model's directory has the same name."""

import re
from pathlib import Path

SNAPSHOT = re.compile(r"models--(?:.+--)?(.+)/snapshots/[0-9a-f]+/?$")


def model_name(reference: str) -> str:
    """ "…/pocket/model" is Pocket, a snapshot in the Hugging Face cache has its repository's name."""
    if cached := SNAPSHOT.search(reference):
        return cached[1]
    path = Path(reference)
    return path.parent.name.capitalize() if path.name == "model" else path.name
