"""A model as users name it, a directory or a Hub id, to a directory on this computer; downloaded if need be."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.catalog.models import catalog_models
from loralab_core.errors import BadInput, LoraLabError

Progress = Callable[[int, int], None]  # bytes here, bytes in all

# Weights as safetensors alone: pickled ones can run code when they are opened.
WANTED = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model")
UNWANTED = ("onnx/*", "runs/*", "original/*", "*/*")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve_model(model: str, progress: Progress | None = None) -> Path:
    """The absolute directory of `model`, with a config.json in it. `progress` is called while something is downloaded.

    BadInput if there is no such model; LoraLabError if the download fails.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadInput(f"{model} is not a model directory: it has no config.json")
        return path.resolve()
    if path.exists():
        raise BadInput(f"{model} is a file; give the directory that holds config.json and the .safetensors files")
    if not is_hub_id(model):
        known = ", ".join(one.id for one in catalog_models())
        raise BadInput(f"no model directory {model}; give an existing directory or a Hub id such as {known}")
    return _local_copy(model) or _download(model, progress)


def is_hub_id(model: str) -> bool:
    return _HUB_ID.fullmatch(model) is not None and not model.startswith((".", "~"))


def _local_copy(model: str) -> Path | None:
    """What an earlier download left, if it is complete; asks nobody."""
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(model, local_files_only=True, allow_patterns=list(WANTED)))
    except Exception:  # whatever is wrong with the cached copy, a download says it better
        return None
    complete = (found / "config.json").is_file() and any(found.glob("*.safetensors"))
    return found.resolve() if complete and not _missing_shards(found) else None


def _missing_shards(directory: Path) -> bool:
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return False
    import msgspec

    names = set(msgspec.json.decode(index.read_bytes())["weight_map"].values())
    return any(not (directory / name).is_file() for name in names)


def _download(model: str, progress: Progress | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    report: dict[str, Any] = {"tqdm_class": _reporting_bar(progress)} if progress else {}
    try:
        found = snapshot_download(model, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED), **report)
    except GatedRepoError:
        raise BadInput(
            f"{model} asks for its licence to be accepted: do so on huggingface.co, then run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise BadInput(f"there is no model {model} on the Hub (or it is private: `hf auth login`)") from None
    except Exception as error:  # the network has many ways to fail and each library its own exceptions for them
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LoraLabError(
            f"{model} could not be downloaded ({first}); a directory with the model works too"
        ) from error
    directory = Path(found).resolve()
    if not (directory / "config.json").is_file():
        raise BadInput(f"{model} on the Hub has no config.json: it is not a model LoRA Lab can open")
    return directory


def _reporting_bar(progress: Progress) -> type:
    """A tqdm that draws nothing and adds up the bytes of all files."""
    from tqdm.auto import tqdm

    totals: dict[int, tuple[int, int]] = {}

    class Reporting(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            self._in_bytes = settings.get("unit") == "B"
            settings.pop("name", None)
            super().__init__(*arguments, **{**settings, "disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1) -> bool | None:
            said: bool | None = super().update(n)
            if self._in_bytes:
                totals[id(self)] = (int(self.n), int(self.total or 0))
                done, whole = (sum(column) for column in zip(*totals.values(), strict=True))
                progress(done, whole)
            return said

    return Reporting


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return
