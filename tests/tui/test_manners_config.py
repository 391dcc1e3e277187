"""What a user writes by hand: keys and themes. A wrong file is one sentence, and the defaults hold."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.paths import config_dir
from loralab_tui.app import Options, StudioApp
from loralab_tui.config import keymap, keys_file, themes_file
from loralab_tui.config.theme import DARK, LIGHT, THEMES
from loralab_tui.screens.ask_line import AskLine
from loralab_tui.screens.help import Help
from loralab_tui.screens.runs import RunsScreen
from loralab_tui.screens.settings import Settings
from loralab_tui.screens.theme_picker import ThemePicker
from tests.tui.driving import seen, shown, toasts, until
from tests.tui.made_runs import made_run


@pytest.fixture(autouse=True)
def default_keys() -> Iterator[None]:
    yield
    keymap.use({})


def write(name: str, text: str) -> Path:
    file = config_dir() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_what_keys_prints_is_a_file_that_changes_nothing() -> None:
    file = write("keys.toml", keys_file.as_toml())
    told = keys_file.read_keys(file)
    assert told == {name: action.defaults for name, action in keymap.BY_ID.items()}


def test_keys_are_printed_without_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-m", "loralab_tui", "--keys"], capture_output=True, text=True, check=True)
    told = tomllib.loads(done.stdout)
    assert set(told) == {action.id for action in keymap.ACTIONS} | {"runs_screen", "compare_screen"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train = ", "not TOML"),
        ('dance = "f2"', "no action 'dance'"),
        ("train = 2", 'a key like "f2"'),
        ('train = "x"', "types"),
        ('train = "shift+x"', "types"),
        ('train = "ctrl+i"', "Tab"),
        ('train = "F25"', "no key"),
        ('train = "f9"', "both"),
        ('[runs_screen]\nopen = "f2"', "f2 is both runs_screen"),
        ('[runs_screen]\nmark = "f1"', "f1 is both"),
        ('[runs_screen]\nmark = "x"', "types"),
        ('[runs_screen]\ncompare = "f4"\nextend = "f11"', "f4 is both"),
        ('[runs_screen]\ntrain = "f2"', "no action 'runs_screen.train'"),
        ('[dance]\nx = "f2"', "no action 'dance'"),
    ],
)
def test_a_wrong_key_file_is_one_sentence(text: str, said: str) -> None:
    file = write("keys.toml", text)
    with pytest.raises(BadInput, match=said) as caught:
        keys_file.read_keys(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_two_actions_on_one_key_are_both_named() -> None:
    with pytest.raises(BadInput, match=r"f9 is both (train and stop|stop and train)"):
        keys_file.read_keys(write("keys.toml", 'train = "f9"'))


async def test_moved_keys_act_and_show_everywhere() -> None:
    write("keys.toml", 'train = "f9"\nstop = "f2"\nhelp = ["f11", "alt+h"]')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 50)) as pilot:
        await until(pilot, lambda: shown(app, "#chip-train").startswith("F9"))
        assert [hint.render().plain for hint in app.main.footer.query("KeyHint")][0].startswith("F11")
        await pilot.press("f1")
        assert app.screen is app.main
        for key in ("f11", "alt+h"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Help))
            assert "F11 Alt+h" in seen(app)
            await pilot.press("escape")
        await pilot.press("f2")
        await until(pilot, lambda: "Nothing is training now." in toasts(app))


async def test_the_key_of_quit_can_be_moved_on_every_screen_and_taken_by_another() -> None:
    write("keys.toml", 'help = "ctrl+q"\nquit = "f11"')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await pilot.press("escape", "f4")
        await until(pilot, lambda: isinstance(app.screen, Settings))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Help))
        assert app.is_running
        await pilot.press("f11")
        await until(pilot, lambda: not app.is_running)


async def test_moved_keys_of_the_list_of_runs_act_and_show_there() -> None:
    made_run(12)
    write("keys.toml", 'runs = "f3"\nspeaker = "f5"\n[runs_screen]\nrename = "f12"\ncompare = "alt+c"\n')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.current)
        assert "F12 Rename" in seen(app) and "Alt+c Compare" in seen(app)
        await pilot.press("f6")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("f12")
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        await pilot.press("escape", "f3")
        await until(pilot, lambda: app.screen is app.main)


async def test_a_wrong_file_is_told_and_the_defaults_hold() -> None:
    write("keys.toml", 'dance = "f2"')
    write("themes/odd.toml", 'background = "mauve-ish"')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(toasts(app)) >= 2)
        assert any("dance" in note for note in toasts(app)) and any("mauve-ish" in note for note in toasts(app))
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Help))


WRONG_THEMES = ["x = [", 'based_on = "blue"', 'lips = "#ff0000"', "primary = 3"]
WRONG_THEMES += ['primary = "#7aa8f0 35%"', 'lora-voice = "#7aa8f0 35%"', 'scrollbar = "#7aa8f0 or so"']


@pytest.mark.parametrize("text", WRONG_THEMES)
def test_a_wrong_theme_is_one_sentence(text: str) -> None:
    file = write("themes/mine.toml", text)
    with pytest.raises(BadInput) as caught:
        themes_file.read_theme(file)
    assert str(file) in str(caught.value)


def test_a_theme_takes_from_its_base_what_it_does_not_name() -> None:
    write("themes/mine.toml", 'based_on = "light"\nbackground = "#ffffff"\nlora-voice = "#ff8800"')
    (mine,), wrong = themes_file.read_themes()
    assert not wrong and mine.name == "mine" and not mine.dark
    assert (mine.background, mine.foreground) == ("#ffffff", LIGHT.foreground)
    assert mine.variables["lora-voice"] == "#ff8800" and mine.variables["base-voice"] == LIGHT.variables["base-voice"]


async def test_a_colour_that_textual_cannot_mix_is_told_instead_of_ending_the_studio() -> None:
    write("themes/mine.toml", 'primary = "#7aa8f0 35%"')
    write("themes/other.toml", 'primary = "rgb(1, 2, 3)"\nscrollbar = "#7aa8f0 35%"')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("mine.toml: primary" in note for note in toasts(app)))
        app.theme = "other"
        await until(pilot, lambda: app.theme_variables["primary"] == "#010203")


def test_every_theme_of_ours_names_the_same_colours() -> None:
    for theme in THEMES:
        assert set(DARK.variables) <= set(theme.variables), theme.name


async def test_the_picker_wears_a_theme_while_one_looks_and_esc_takes_it_off() -> None:
    write("themes/mine.toml", 'background = "#000000"')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)) as pilot:
        await app.run_action("themes")
        await until(pilot, lambda: isinstance(app.screen, ThemePicker) and app.focused)
        await pilot.press("end")
        await until(pilot, lambda: app.theme == "mine")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "lab-dark")
        await app.run_action("themes")
        await until(pilot, lambda: isinstance(app.screen, ThemePicker) and app.focused)
        await pilot.press("end", "enter")
        await until(pilot, lambda: themes_file.chosen_theme() == "mine")
    assert StudioApp(Options(host="box")).theme == "mine"


async def test_the_choice_between_dark_and_light_is_kept() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)) as pilot:
        await app.run_action("theme")
        await until(pilot, lambda: themes_file.chosen_theme() == "lab-light")
    assert StudioApp(Options(host="box")).theme == "lab-light"
