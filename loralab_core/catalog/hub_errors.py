"""Whatever the Hub's library raises, as one sentence. No token and no signed address gets into it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from loralab_core.catalog.reference import HubReference
from loralab_core.errors import BadInput, LoraLabError, first_line

_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")  # a redirect's signature opens the file to whoever reads it
_LEFT = re.compile(r"\bt=(\d+)")  # seconds, as the Hub says it: `"api";r=0;t=55`
_PASSWORD = re.compile(r"(https?://)[^\s/'\"]*@")  # of a mirror or a proxy
_TOKEN = re.compile(r"hf_\w+|(?<=Bearer )[^'\"]+", re.ASCII)

LOGIN = "then `hf auth login` with your token"


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
    if status == 401 and (_sent_a_token(error) or _says(error, "Invalid credentials")):
        return BadInput("the Hub does not take your token, it may have expired; `hf auth login` with a new one")
    if isinstance(error, GatedRepoError):
        return BadInput(f"{id} {_gate(error)}")
    if _code(error) == "RevisionNotFound":
        return BadInput(f"{id} has no revision {reference.revision or 'main'}; its page lists branches and tags")
    if _code(error) == "EntryNotFound":
        return LoraLabError(f"{id} changed on the Hub while it was downloaded; try again")
    if _says(error, "is disabled") or status == 451:
        return BadInput(f"the Hub has closed {id} to everybody; its page may say why, use another model")
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):  # 401: the Hub does not tell which
        return BadInput(f"the Hub has no model {id}, or {_private()}")
    if status == 403:
        return BadInput(_forbidden(error, id))
    if status == 429:
        return LoraLabError(f"the Hub asks for a pause: too many requests{_pause(error)}; what has arrived is kept")
    if status is None and _unreachable(error):
        why = without_secrets(first_line(error))
        return LoraLabError(
            f"{reference} is not in the local cache and the Hub cannot be reached ({why}); try again with a network, "
            "what has arrived is kept, or give a model directory instead"
        )
    if isinstance(error, UnicodeEncodeError):  # a header holds ASCII only; the token is the only part users write
        return LoraLabError("your token holds characters that no token has; `hf auth login` with it again")
    if isinstance(error, JSONDecodeError):  # the page of a hotel's network, or a wrong address
        return LoraLabError(
            f"what answered for {reference} is not the Hub; open a page in a browser here, or check HF_ENDPOINT"
        )
    return LoraLabError(f"downloading {reference} failed: {without_secrets(first_line(error))}; try again")


def without_secrets(text: str) -> str:
    """`text` without this user's token, anything that looks like one, and what follows the ? of an address."""
    from huggingface_hub import get_token

    if token := get_token():
        text = text.replace(token, "…")
    return _PASSWORD.sub(r"\1…@", _QUERY.sub(r"\1", _TOKEN.sub("…", text)))


def _gate(error: Exception) -> str:
    """What still has to be done, by what the Hub says."""
    from huggingface_hub import get_token

    if _says(error, "awaiting a review"):
        return "is not open to you yet: your request waits for its authors; try again when they have answered"
    if _says(error, "rejected"):
        return "is closed to you: its authors have rejected your request; use another model"
    asks = "needs its licence accepted on its page of the Hub"
    return f"{asks}, with the account your token belongs to" if get_token() else f"{asks} ({LOGIN})"


def _private() -> str:
    from huggingface_hub import get_token

    return "it is private and your token's account may not see it" if get_token() else f"it is private ({LOGIN})"


def _forbidden(error: Exception, id: str) -> str:
    if _says(error, "fine-grained"):
        return f"your token may not read {id}; in its settings on the Hub, allow it to read public gated repositories"
    if not _sent_a_token(error):
        return f"the Hub gives {id} only to those it knows; `hf auth login` with your token"
    return f"your token gives no access to {id}; ask its owner, or make a token with the right to read it"


def _sent_a_token(error: Exception) -> bool:
    request = getattr(getattr(error, "response", None), "request", None)
    return request is not None and "authorization" in request.headers


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.headers.get("X-Error-Code", "")) if response is not None else ""


def _says(error: Exception, words: str) -> bool:
    response = getattr(error, "response", None)
    return words in str(error) or (response is not None and words in response.headers.get("X-Error-Message", ""))


def _pause(error: Exception) -> str:
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    left = _LEFT.search(headers.get("RateLimit", ""))
    wait = left[1] if left else headers.get("Retry-After", "")
    return f", try again in {wait} s" if wait.isdigit() else ", try again in some minutes"


def _unreachable(error: Exception) -> bool:
    """Whether no connection came about; told by the class's name, as each generation's client has its own classes."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ConnectError", "ConnectTimeout", "ConnectionError", "ProxyError", "NewConnectionError"})
