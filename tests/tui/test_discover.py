from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_tui import discover


def test_models_below_a_directory_are_found_with_their_size(model: Path) -> None:
    found = discover.models(model.parent)[0]
    assert (found.name, found.size, found.reference) == ("tiny", 1000, str(model))


def test_the_hub_cache_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "hub" / "models--someone--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"\0" * 10)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = discover.models()
    assert found[0].reference == "someone/small"
    assert {model.where for model in found[1:]} == {"to download"}


def test_a_model_is_a_directory_a_file_in_it_or_an_id(model: Path) -> None:
    assert discover.check_model(str(model)) == str(model)
    assert discover.check_model(str(model / "config.json")) == str(model)
    for text in ("HuggingFaceTB/SmolLM2-135M", "https://huggingface.co/HuggingFaceTB/SmolLM2-135M"):
        assert discover.check_model(text) == "HuggingFaceTB/SmolLM2-135M"


@pytest.mark.parametrize("text", ["/nowhere/at/all", "just words", "./missing"])
def test_what_can_be_no_model_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match=text):
        discover.check_model(text)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="config.json"):
        discover.check_model(str(tmp_path))


def test_a_corpus_is_named_by_what_it_is(corpus: Path) -> None:
    assert discover.look_at(str(corpus)).note == "plain text, 1 kB"


def test_pasted_text_becomes_a_corpus_of_its_own(home: Path) -> None:
    path = discover.keep_pasted("some words", "mine")
    assert path == home / "corpora" / "mine.txt"
    assert path.read_text() == "some words\n"
    with pytest.raises(BadInput):
        discover.keep_pasted("  \n", "mine")
