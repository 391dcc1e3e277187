"""F6: one list to search, with what each model needs and whether that is here."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from loralab_core.catalog.found import models
from loralab_core.catalog.models import catalog_models
from loralab_core.catalog.pocket import POCKET
from loralab_core.hardware.room import Room
from loralab_tui.app import Options, StudioApp
from loralab_tui.data import discover
from loralab_tui.screens.model_picker import ModelPicker
from loralab_tui.widgets.model_list import fitting
from tests.catalog.hub_server import LLAMA
from tests.tui.driving import seen, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.test_left_once import hit

ROOM = Room("cuda:0", free=10_000_000_000, total=16_000_000_000, half="bf16")


@pytest.fixture
def nothing_chosen(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StudioApp:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no downloads"))
    monkeypatch.chdir(tmp_path)
    return StudioApp(Options(host="box"), open_engine=engine.open, find_room=lambda asked: ROOM)


async def opened(app: StudioApp, pilot: Any) -> ModelPicker:
    await pilot.press("f6")
    await until(pilot, lambda: isinstance(app.screen, ModelPicker) and app.screen.room)
    assert isinstance(app.screen, ModelPicker)
    return app.screen


def listed(picker: ModelPicker) -> list[str]:
    return [one.model.name for one in picker.list.shown]


def line(app: StudioApp, text: str) -> str:
    return next(line for line in seen(app).splitlines() if text in line)


# ---- what is shown


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_every_line_says_what_a_model_is_and_whether_it_fits(
    size: tuple[int, int], nothing_chosen: StudioApp
) -> None:
    async with nothing_chosen.run_test(size=size) as pilot:
        picker = await opened(nothing_chosen, pilot)
        assert "On this computer" in seen(nothing_chosen) and "On the Hub" in seen(nothing_chosen)
        cells = line(nothing_chosen, "SmolLM2-135M")
        for fact in ("135M", "269 MB", "308 MB", "✓ fits", "apache-2.0"):
            assert fact in cells
        for name, verdict in (("Phi-3-mini-4k", "! tight"), ("Llama-3.1-8B-Instruct", "✕ too big")):
            picker.field.value = name.lower()
            await until(pilot, lambda name=name: name in seen(nothing_chosen) and len(picker.list.shown) == 1)
            assert verdict in line(nothing_chosen, name)


async def test_columns_fall_away_in_order_where_room_is_short() -> None:
    def titles(width: int) -> list[str]:
        return [column.title for column, _ in fitting(width)]

    assert titles(73) == ["model", "params", "weights", "memory", "here", "licence"]
    assert titles(70) == ["model", "weights", "memory", "here", "licence"]
    assert titles(55) == ["model", "weights", "memory", "here"]
    assert titles(20) == ["model", "memory", "here"]


async def test_what_stands_in_the_way_is_said_before_a_model_is_chosen(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        assert "gemma *" in line(nothing_chosen, "gemma-3-270m-it") and "* accept the licence" in seen(nothing_chosen)
        for text, said in (
            ("gemma-3-270m", "First accept its licence on huggingface.co/google/gemma-3-270m-it"),
            ("mistral instruct", "! Tight: other programs hold memory, 10.0 GB of 16.0 GB are free."),
            ("phi-3", "! Tight: of 10.0 GB little is left for a batch"),
            ("qwen3-8b", "✕ Too big: cuda:0 is 16.0 GB of memory."),
            ("smollm2-135m", "figures not yet checked on the Hub"),
        ):
            picker.field.value = text
            await until(pilot, lambda said=said: said in seen(nothing_chosen), said)


async def test_a_directory_that_cannot_be_opened_says_why(nothing_chosen: StudioApp, home: Path) -> None:
    made(home / "models" / "odd", {"model_type": "mamba"})
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        assert "✕ refused" in line(nothing_chosen, "odd")
        picker.field.value = "odd"
        await until(pilot, lambda: "architecture 'mamba' is not" in seen(nothing_chosen))


async def test_what_lies_here_is_weighed_by_its_own_configuration(nothing_chosen: StudioApp, home: Path) -> None:
    made(home / "models" / "mine", LLAMA | {"hidden_size": 4096, "num_hidden_layers": 60, "intermediate_size": 9000})
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        await opened(nothing_chosen, pilot)
        assert "✕ too big" in line(nothing_chosen, "mine ")


# ---- searching


async def test_words_in_any_order_and_case_are_searched_in_name_subject_and_licence(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        everything = listed(picker)
        for text, found in (("INSTRUCT smollm2-3", ["HuggingFaceTB/SmolLM2-360M-Instruct"]), ("code mit", 2)):
            picker.field.value = text
            await until(pilot, lambda: listed(picker) != everything)
            await until(pilot, lambda found=found: found in (listed(picker), len(listed(picker))), text)
        picker.field.value = ""
        await until(pilot, lambda: listed(picker) == everything)


async def test_enter_takes_the_first_that_fits_what_is_typed(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        await opened(nothing_chosen, pilot)
        await pilot.press(*"qwen3", "enter")
        await until(pilot, lambda: nothing_chosen.studio.model == "Qwen/Qwen3-0.6B")


async def test_an_id_is_asked_for_even_where_it_is_part_of_another(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        picker.field.value = "Qwen/Qwen2.5-7B"
        await until(pilot, lambda: "Enter asks the Hub for Qwen/Qwen2.5-7B." in seen(nothing_chosen))
        assert listed(picker) == ["Qwen/Qwen2.5-7B-Instruct"] and picker.list.marked is None
        await pilot.press("enter")
        await until(pilot, lambda: nothing_chosen.studio.model == "Qwen/Qwen2.5-7B")


async def test_where_nothing_fits_it_is_said_what_else_can_be_typed(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        picker.field.value = "no such thing"
        await until(pilot, lambda: "Nothing here has “no such thing”" in seen(nothing_chosen))
        picker.field.value = ""
        await pilot.press("down", *"zz")
        await until(pilot, lambda: "Nothing here has “zz”" in seen(nothing_chosen))
        picker.field.value = "someone/thing"
        await until(pilot, lambda: "Enter asks the Hub for someone/thing." in seen(nothing_chosen))


async def test_the_list_goes_on_searching_and_up_leads_back(nothing_chosen: StudioApp, home: Path) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        await pilot.press(*"qwen", "down")
        await until(pilot, lambda: picker.list.has_focus)
        await pilot.press("3")
        await until(pilot, lambda: picker.field.value == "qwen3" and picker.field.has_focus)
        await pilot.press("down", "down", "backspace")
        await until(pilot, lambda: picker.field.value == "qwen")
        hit(nothing_chosen, "down", "down", "down")
        await until(pilot, lambda: picker.list.marked and picker.list.marked.model.name == "Qwen/Qwen2.5-1.5B-Instruct")
        await pilot.press("up", "up", "up")
        await until(pilot, lambda: picker.field.has_focus)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: nothing_chosen.studio.model == "Qwen/Qwen3-0.6B")


async def test_what_was_chosen_before_hides_nothing_and_is_typed_over(app: StudioApp, model: Path) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.studio.model)
        picker = await opened(app, pilot)
        assert picker.list.marked and picker.list.marked.model.reference == str(model) and "Pocket" in listed(picker)
        await pilot.press("down", "q")
        await until(pilot, lambda: picker.field.value == "q")


async def test_a_click_chooses(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        await pilot.click(picker.list, offset=(3, 0))
        assert nothing_chosen.screen is picker, "a heading is nothing to choose"
        await pilot.click(picker.list, offset=(3, 1))
        await until(pilot, lambda: nothing_chosen.studio.model == str(POCKET))


async def test_without_colours_the_marked_line_stands_out(
    nothing_chosen: StudioApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain = StudioApp(nothing_chosen.options, find_room=lambda asked: ROOM)
    async with plain.run_test(size=(80, 24)) as pilot:
        await opened(plain, pilot)
        await pilot.press("down")
        lines = plain.screen._compositor.render_strips()
        reversed_ = [part.text for line in lines for part in line if part.style and part.style.reverse]
        assert any("Pocket" in text for text in reversed_) and not any("SmolLM2" in text for text in reversed_)


@pytest.mark.parametrize("text", ["/models", "~/models", "./models", ""])
def test_a_path_is_no_search(text: str) -> None:
    assert discover.search_words(text) == []


def test_an_address_searches_for_its_id() -> None:
    assert discover.search_words("https://huggingface.co/Qwen/Qwen3-8B") == ["qwen/qwen3-8b"]


async def test_a_token_in_the_field_is_searched_nowhere_and_refused(nothing_chosen: StudioApp) -> None:
    async with nothing_chosen.run_test(size=(80, 24)) as pilot:
        picker = await opened(nothing_chosen, pilot)
        picker.query_one(Input).value = "hf_abcdefghijklmnopqrst"
        await pilot.press("enter")
        await until(pilot, lambda: "holds a token" in seen(nothing_chosen))


def made(place: Path, config: dict[str, Any]) -> None:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").write_bytes(b"\0" * 1000)


# ---- what is found


def test_gguf_files_below_the_home_are_found(home: Path) -> None:
    (home / "models" / "deep").mkdir(parents=True)
    (home / "models" / "deep" / "Small.GGUF").write_bytes(b"GGUF")
    found = next(model for model in models() if model.name == "Small.GGUF")
    assert found.reference == str(home / "models" / "deep" / "Small.GGUF") and found.size == 4


def test_a_download_of_the_catalogue_is_listed_once_and_needs_no_more_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = next(model.id for model in catalog_models() if model.gated)
    place = tmp_path / f"models--{id.replace('/', '--')}"
    made(place / "snapshots" / "abc", LLAMA)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (found,) = [model for model in models() if model.reference == id]
    assert found.path and not found.gated and found.licence
