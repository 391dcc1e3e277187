from collections.abc import Callable
from pathlib import Path

import pytest

from loralab_core.catalog.found import models
from loralab_core.catalog.pocket import POCKET
from loralab_core.errors import BadInput
from loralab_core.paths import with_tilde
from loralab_tui.app import Options, StudioApp
from loralab_tui.data import discover
from loralab_tui.runs.exporting import check_target
from loralab_tui.terminal.dropped import recognise
from tests.tui.driving import toasts, until
from tests.tui.fake_engine import FakeEngine


def test_models_below_a_directory_are_found_with_their_size(model: Path) -> None:
    found = models(model.parent)[1]
    assert (found.name, found.size, found.reference) == ("tiny", 1000, str(model))


def test_the_hub_cache_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "hub" / "models--someone--small"
    snapshot = place / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"\0" * 10)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = models()[1:]
    assert found[0].reference == "someone/small"
    assert {model.where for model in found[1:]} == {"to download"}


def test_a_download_whose_files_were_removed_is_no_model(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(model / "gone")
    assert str(model) not in [found.reference for found in models(model.parent)]


NOBODY = "~nobody-of-that-name/x"


@pytest.mark.parametrize("text", [NOBODY, "x" * 400])
def test_anything_may_be_typed_for_a_path(text: str) -> None:
    for read in (discover.check_model, discover.look_at):
        with pytest.raises(BadInput):
            read(text)
    assert not discover.is_model_directory(text)
    assert check_target("x" * 400).name == "x" * 400


@pytest.mark.parametrize("read", [discover.check_model, discover.look_at, check_target, lambda text: recognise([text])])
def test_the_home_of_a_user_who_does_not_exist_is_said(read: Callable[[str], object]) -> None:
    with pytest.raises(BadInput, match="~nobody-of-that-name/x cannot be found: there is no user"):
        read(NOBODY)


def test_where_downloads_lie_may_be_set_to_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", NOBODY)
    assert {model.where for model in models()} == {"bundled", "to download"}


async def test_a_run_to_attach_to_in_such_a_home_is_said(engine: FakeEngine, model: Path) -> None:
    app = StudioApp(Options(attach=NOBODY, host="box"), open_engine=engine.open)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("there is no user" in said for said in toasts(app)), "told")
        assert len(toasts(app)) == 1 and app.studio.run is None


def test_the_place_proposed_for_an_export_is_short_and_meant_as_it_reads() -> None:
    new = Path.home() / "no such place"
    assert with_tilde(new) == "~/no such place" and check_target(with_tilde(new)) == new
    assert with_tilde(Path("/elsewhere/a")) == "/elsewhere/a"


def test_a_whole_disk_is_no_corpus_and_is_not_walked_to_its_end(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("text\n")
    assert discover.holds_more_than(19, str(tmp_path)) and not discover.holds_more_than(20, str(tmp_path))
    assert not discover.holds_more_than(0, str(tmp_path / "0.txt"))
    with pytest.raises(BadInput, match="holds more than 100,000 files"):
        discover.look_at("/")


def test_pocket_is_always_there_and_comes_first(model: Path) -> None:
    first = models(model.parent)[0]
    assert (first.name, first.where, first.reference) == ("Pocket", "bundled", str(POCKET))
    assert discover.check_model("pocket") == str(POCKET)


def test_a_model_is_a_directory_a_file_in_it_or_an_id(model: Path) -> None:
    assert discover.check_model(str(model)) == str(model)
    assert discover.check_model(str(model / "config.json")) == str(model)
    (model / "x.gguf").write_bytes(b"GGUF")
    assert discover.check_model(str(model / "x.gguf")) == str(model / "x.gguf")
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
