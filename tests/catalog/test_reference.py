"""What people paste for a model, and what of it is refused."""

import pytest

from loralab_core.catalog.reference import HubReference, hub_reference
from loralab_core.errors import BadInput

NAMES = {
    "owner/name": ("owner/name", None),
    "owner/name@v1.0": ("owner/name", "v1.0"),
    "owner/name@refs/pr/3": ("owner/name", "refs/pr/3"),
    "owner/name@main": ("owner/name", None),
    "hf://owner/name": ("owner/name", None),
    "hf://models/owner/name": ("owner/name", None),
    "hf://owner/name@abc": ("owner/name", "abc"),
    "models/name": ("models/name", None),
    "https://huggingface.co/owner/name": ("owner/name", None),
    "http://huggingface.co/owner/name/": ("owner/name", None),
    "https://hf.co/owner/name": ("owner/name", None),
    "huggingface.co/owner/name": ("owner/name", None),
    " https://huggingface.co/owner/name?library=transformers#usage ": ("owner/name", None),
    "https://huggingface.co/owner/name/tree/main": ("owner/name", None),
    "https://huggingface.co/owner/name/tree/v1": ("owner/name", "v1"),
    "https://huggingface.co/owner/name/tree/refs%2Fpr%2F3": ("owner/name", "refs/pr/3"),
    "https://huggingface.co/owner/name/tree/refs/pr/3/folder": ("owner/name", "refs/pr/3"),
    "https://huggingface.co/owner/name/blob/v1/config.json": ("owner/name", "v1"),
    "https://huggingface.co/owner/name/resolve/main/model.safetensors": ("owner/name", None),
    "https://huggingface.co/owner/name/commit/0123abc": ("owner/name", "0123abc"),
    "https://huggingface.co/owner/name/discussions/3": ("owner/name", None),
}


@pytest.mark.parametrize(("text", "named"), NAMES.items())
def test_every_way_to_name_a_model(text: str, named: tuple[str, str | None]) -> None:
    assert hub_reference(text) == HubReference(*named)


@pytest.mark.parametrize("reference", [HubReference("owner/name"), HubReference("owner/name", "refs/pr/3")])
def test_what_is_written_is_read_again(reference: HubReference) -> None:
    assert hub_reference(str(reference)) == reference


OTHERS = ["name", "a/b/c", "https://example.com/owner/name", "huggingface.co/owner", "owner/name@../../etc", "a/..", ""]


@pytest.mark.parametrize("text", OTHERS)
def test_what_names_no_model(text: str) -> None:
    assert hub_reference(text) is None


@pytest.mark.parametrize("text", ["https://huggingface.co/datasets/a/b", "hf://datasets/a/b", "hf.co/spaces/a/b"])
def test_a_data_set_is_no_model(text: str) -> None:
    with pytest.raises(BadInput, match="not a model"):
        hub_reference(text)


SECRET = "hf_ThisIsTheSecretOfTheTests"


@pytest.mark.parametrize(
    "text",
    [f"https://user:{SECRET}@huggingface.co/owner/name", "https://user:other@huggingface.co/owner/name"]
    + [f"https://huggingface.co/owner/name?token={SECRET}", f"owner/{SECRET}"],
)  # fmt: skip
def test_a_token_in_a_name_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadInput, match="holds a token") as refused:
        hub_reference(text)
    assert SECRET not in str(refused.value) and "other" not in str(refused.value)


def test_a_mirror_has_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
    assert hub_reference("https://hub.example.org/owner/name/tree/v1") == HubReference("owner/name", "v1")
