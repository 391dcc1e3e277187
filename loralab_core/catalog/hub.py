"""From what a user calls a model (a directory, "pocket", a Hub id, a Hub address) to a directory with its files."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.catalog.pocket import NAME, POCKET
from loralab_core.errors import BadInput, LoraLabError, first_line
from loralab_core.paths import expand_user

FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_ADDRESS = re.compile(r"(?:https?://huggingface\.co/|hf://)([\w.-]+/[\w.-]+)/?(?:tree/main/?)?")


def hub_id(text: str) -> str | None:
    """The Hub id that `text` is or holds; None for anything else, and wherever such a path exists here."""
    if os.path.exists(text):
        return None
    if match := _ADDRESS.fullmatch(text):
        return match[1]
    return text if _HUB_ID.fullmatch(text) else None


def resolve_model(text: str, progress: Callable[[int, int, str], None] | None = None) -> Path:
    """The model's directory, downloaded first if `text` names a Hub model that is not in the cache yet.

    `progress(done, total, what)` counts bytes; without it the download shows bars of its own on stderr.
    The word "pocket" is the model that comes with LoRA Lab, unless a directory here is called so.
    Raises BadInput for what does not exist or is closed to this user, LoraLabError when the network fails.
    """
    if text.startswith("~"):
        text = str(expand_user(text))
    if os.path.isdir(text):
        return Path(text).resolve()
    if text == NAME:
        return POCKET
    if (repository := hub_id(text)) is None:
        raise BadInput(f"{text} is neither a directory, nor a Hub id such as owner/name, nor the word {NAME}")
    return _download(repository, progress)


def _download(repository: str, progress: Callable[[int, int, str], None] | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    bar = _reporting_bar(progress, repository) if progress else None
    try:
        return Path(snapshot_download(repository, allow_patterns=list(FILES), tqdm_class=bar))
    except LoraLabError:  # `progress` ends the download so
        raise
    except GatedRepoError:
        raise BadInput(
            f"{repository} needs its licence accepted on its Hub page, then `hf auth login` with your token"
        ) from None
    except RepositoryNotFoundError:
        raise BadInput(f"the Hub has no model {repository}, or it is private (then `hf auth login`)") from None
    except LocalEntryNotFoundError:
        raise LoraLabError(
            f"{repository} is not in the local cache and the Hub cannot be reached; give a model directory instead"
        ) from None
    except Exception as error:  # also those of the HTTP client, another one in each generation of the Hub's library
        raise LoraLabError(f"downloading {repository} failed: {first_line(error)}; try again") from error


def _reporting_bar(progress: Callable[[int, int, str], None], repository: str) -> type[Any]:
    """A progress bar that shows nothing and reports the bytes of all files together."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **how: Any):
            super().__init__(*args, **{**how, "file": open(os.devnull, "w")})  # noqa: SIM115 (closed with the bar)

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            if self.unit == "B":
                progress(int(self.n), int(self.total or 0), f"downloading {repository}")
            return shown

        def close(self) -> None:
            super().close()
            self.fp.close()

    return Bar
