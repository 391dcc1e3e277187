"""Whatever the Hub's library raises, as one sentence. No token and no signed address gets into it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from loralab_core.catalog.reference import HubReference
from loralab_core.errors import BadInput, LoraLabError, first_line

_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")  # a redirect's signature opens the file to whoever reads it
_TOKEN = re.compile(r"hf_\w+|(?<=Bearer )[^'\"]+", re.ASCII)


@contextmanager
def explained(reference: HubReference) -> Iterator[None]:
    """Raises LoraLabError or BadInput in place of what goes wrong inside; without a cause, which could hold a token."""
    try:
        yield
    except Exception as error:  # also those of the HTTP client, another one in each generation of the Hub's library
        raise explain(error, reference) from None


def explain(error: Exception, reference: HubReference) -> LoraLabError:
    """`error` itself where it is a sentence already."""
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, LoraLabError):
        return error
    id, status = reference.id, getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OfflineModeIsEnabled):
        return LoraLabError(
            f"{reference} is not in the local cache and HF_HUB_OFFLINE forbids to download it; "
            "unset that, or give a model directory instead"
        )
    if isinstance(error, GatedRepoError):
        return BadInput(f"{id} needs its licence accepted on its page of the Hub{_then_login()}")
    if _code(error) == "RevisionNotFound":
        return BadInput(f"{id} has no revision {reference.revision or 'main'}; its page lists branches and tags")
    if status == 401 and _says(error, "Invalid credentials"):
        return BadInput("the Hub does not take your token, it may have expired; `hf auth login` with a new one")
    if _code(error) == "EntryNotFound":
        return LoraLabError(f"{id} changed on the Hub while it was downloaded; try again")
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):  # 401: the Hub does not tell which
        return BadInput(f"the Hub has no model {id}, or it is private{_then_login()}")
    if status == 403:
        return BadInput(f"your token gives no access to {id}; ask its owner, or make a token with the right to read it")
    if status == 429:
        return LoraLabError(f"the Hub asks for a pause: too many requests{_pause(error)}; what has arrived is kept")
    if status is None and _unreachable(error):
        return LoraLabError(
            f"{reference} is not in the local cache and the Hub cannot be reached; try again with a network, "
            "or give a model directory instead"
        )
    return LoraLabError(f"downloading {reference} failed: {without_secrets(first_line(error))}; try again")


def without_secrets(text: str) -> str:
    """`text` without this user's token, anything that looks like one, and what follows the ? of an address."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name, "").strip():
            text = text.replace(token, "…")
    return _QUERY.sub(r"\1", _TOKEN.sub("…", text))


def _then_login() -> str:
    from huggingface_hub import get_token

    return ", with the account your token belongs to" if get_token() else " (then `hf auth login` with your token)"


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.headers.get("X-Error-Code", "")) if response is not None else ""


def _says(error: Exception, words: str) -> bool:
    response = getattr(error, "response", None)
    return words in str(error) or (response is not None and words in response.headers.get("X-Error-Message", ""))


def _pause(error: Exception) -> str:
    response = getattr(error, "response", None)
    wait = response.headers.get("Retry-After", "") if response is not None else ""
    return f", try again in {wait} s" if wait.isdigit() else ", try again in some minutes"


def _unreachable(error: Exception) -> bool:
    """Whether no connection came about; told by the class's name, as each generation's client has its own classes."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ConnectError", "ConnectTimeout", "ConnectionError", "ProxyError", "NewConnectionError"})
