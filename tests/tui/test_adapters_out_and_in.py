"""Where an adapter goes, and which one LoRA is: the dialogs of both, which read their files beside the screen."""

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from loralab_tui.app import StudioApp
from loralab_tui.runs.exporting import Offer, offer
from loralab_tui.screens.adapter_picker import AdapterPicker
from loralab_tui.screens.export import Export
from tests.tui.driving import ready, until
from tests.tui.made_runs import made_run


def adapter(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text("{}")
    return place


def said(app: StudioApp) -> str:
    return " ".join(str(app.screen.query_one("#said").render()).split())


async def picking(app: StudioApp, pilot) -> AdapterPicker:
    await ready(app, pilot)
    await app.run_action("adapter")
    await until(pilot, lambda: isinstance(app.screen, AdapterPicker) and app.screen.query("#said"))
    assert isinstance(app.screen, AdapterPicker)
    return app.screen


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_exported_adapters_are_listed_and_one_is_taken(app: StudioApp, home: Path, size: tuple[int, int]) -> None:
    pirate = adapter(home / "adapters" / "pirate")
    async with app.run_test(size=size) as pilot:
        picker = await picking(app, pilot)
        before = picker.query_one(".dialog").region
        await until(pilot, lambda: picker.query_one(OptionList).option_count == 1, "it is listed")
        assert picker.query_one(".dialog").region == before, "nothing moves as the list comes"
        await pilot.press("tab", "down", "enter")
        await until(pilot, lambda: app.studio.adapter == str(pirate))


async def test_where_none_was_exported_it_is_said_which_key_does(app: StudioApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await picking(app, pilot)
        await until(pilot, lambda: "F8 exports that of a run" in said(app))


async def test_what_is_typed_is_looked_at(app: StudioApp, tmp_path: Path) -> None:
    pirate = adapter(tmp_path / "pirate")
    async with app.run_test(size=(120, 40)) as pilot:
        picker = await picking(app, pilot)
        for text, why in ((str(tmp_path), "holds no adapter"), ("~nobody-of-that-name/x", "there is no user")):
            picker.query_one(Input).value = text
            await pilot.press("enter")
            await until(pilot, lambda why=why: why in said(app), why)
        picker.query_one(Input).value = str(pirate)
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.adapter == str(pirate))


async def test_an_answer_that_comes_when_one_has_gone_elsewhere_changes_nothing(app: StudioApp, tmp_path: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        picker = await picking(app, pilot)
        await pilot.press("f1")
        await until(pilot, lambda: app.screen is not picker, "the help lies over it")
        picker.finish(str(tmp_path))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is picker)
        assert app.studio.adapter is None


async def test_an_export_never_replaces_anything(app: StudioApp, tmp_path: Path) -> None:
    chosen: list[Path | None] = []
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.push_screen(Export(Offer("adapter", "The adapter of this run", tmp_path / "new")), chosen.append)
        for text, why in ((str(tmp_path), "exists already"), ("~nobody-of-that-name/x", "there is no user")):
            app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await until(pilot, lambda why=why: why in said(app), why)
        app.screen.query_one(Input).value = str(tmp_path / "new")
        await pilot.press("enter")
        await until(pilot, lambda: chosen == [tmp_path / "new"])


@pytest.mark.parametrize(
    ("kind", "mark", "program"),
    [("adapter", "adapter_config.json", "PEFT"), ("model", "model.safetensors", "Transformers")],
)
async def test_what_a_run_made_is_called_by_its_name(
    app: StudioApp, home: Path, kind: str, mark: str, program: str
) -> None:
    run = made_run(end=None)
    checkpoint = run.checkpoints / "step-000020"
    checkpoint.mkdir()
    (checkpoint / mark).write_text("{}")
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.push_screen(Export(offer(run)))
        assert app.screen.query_one(".dialog").border_title == f"Export the {kind}"
        lead = str(app.screen.query_one(".lead", Static).render())
        assert lead.startswith(f"The {kind} as of step 20 is copied") and f"that {program} and other programs" in lead
