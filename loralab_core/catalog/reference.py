"""What people write for a model on the Hub: an id, `owner/name@revision`, `hf://…`, or the address of its page."""

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from loralab_core.errors import BadInput

_ID = r"[A-Za-z0-9_-][\w.-]*/[\w.-]+"
_REFERENCE = re.compile(rf"(?:hf://)?(?:models/(?={_ID}))?(?P<id>{_ID})(?:@(?P<revision>[\w./-]+))?/?", re.ASCII)
_PULL_REQUEST = re.compile(r"refs/(?:pr|convert)/[\w.-]+")  # the only revisions of the Hub's that hold slashes
_SECRET = re.compile(r"hf_\w{16,}|//[^/]*@|[?&](?:token|access_token)=", re.ASCII)
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_OTHER_KINDS = ("datasets", "spaces", "kernels", "buckets")


@dataclass(frozen=True)
class HubReference:
    """A model on the Hub. `str()` of it reads as `owner/name` or `owner/name@revision`."""

    id: str
    revision: str | None = None  # a branch, a tag or a commit; None: the main branch

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}" if self.revision else self.id


def hub_reference(text: str) -> HubReference | None:
    """The model `text` names; None for anything else, and wherever such a path exists here.

    BadInput for the address of something that is no model, and for a text that holds a token: that would end up in
    the shell's history and in run.json. The sentence does not repeat it.
    """
    if os.path.exists(text):
        return None
    if _SECRET.search(text):
        raise BadInput("the model's name holds a token or password; leave it out, `hf auth login` keeps a token safely")
    text = text.strip()
    if (path := _path_of_address(text)) is not None:
        return _from_path(path, text)
    _refuse_other_kinds(text.removeprefix("hf://"), text)
    match = _REFERENCE.fullmatch(text)
    return _reference(match["id"], match["revision"]) if match else None


def _path_of_address(text: str) -> str | None:
    """What follows the Hub's host, with or without https:// before it; None where `text` is no address of the Hub."""
    address = urlsplit(text if "://" in text else f"https://{text}")
    if address.scheme not in ("http", "https") or address.netloc.lower() not in (*_HOSTS, _endpoint_host()):
        return None
    return address.path.strip("/")


def _endpoint_host() -> str:
    return urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc.lower()


def _from_path(path: str, text: str) -> HubReference | None:
    """`owner/name`, `owner/name/tree/REVISION/…`, `owner/name/blob/REVISION/FILE`, `owner/name/commit/SHA`."""
    _refuse_other_kinds(path, text)
    owner, _, rest = path.partition("/")
    name, _, rest = rest.partition("/")
    what, _, rest = rest.partition("/")
    if not re.fullmatch(_ID, f"{owner}/{name}", re.ASCII):
        return None
    revision = None
    if what in ("tree", "blob", "resolve", "raw", "commit", "commits") and rest:
        pull_request = _PULL_REQUEST.match(unquote(rest))
        revision = pull_request[0] if pull_request else unquote(rest.partition("/")[0])
    return _reference(f"{owner}/{name}", revision)


def _reference(id: str, revision: str | None) -> HubReference | None:
    """The main branch is what one gets anyway, so it is not named. No "..": revisions become paths in the cache."""
    if ".." in f"{id}/{revision}" or not re.fullmatch(r"[\w./-]*", revision or ""):
        return None
    return HubReference(id, None if revision == "main" else revision)


def _refuse_other_kinds(path: str, text: str) -> None:
    kind = path.partition("/")[0]
    if kind in _OTHER_KINDS and path.count("/") >= 2:
        raise BadInput(f"{text} is among the Hub's {kind}, not a model; give a model's id such as owner/name")
