"""Themes of the user: `themes/NAME.toml` in the config directory; and which theme was chosen last.

based_on = "dark"        # or "light": what the file does not name
background = "#000000"
lora-voice = "#ff8800"
"""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_atomic
from loralab_core.paths import config_dir
from loralab_tui.config.theme import DARK, LIGHT

COLOURS: tuple[str, ...] = ("background", "surface", "panel", "foreground", "primary", "secondary", "accent")
COLOURS += ("success", "warning", "error")
DRAWN = ("base-voice", "lora-voice", "validation", "quiet", "faint")
"""Ours, which the charts draw in: like the main ones they are colours and nothing more."""
SHARE = re.compile(r"\s+\d+(\.\d+)?%$")  # how much of a colour shows, which the other ones may say
BASES = {"dark": DARK, "light": LIGHT}


def themes_dir() -> Path:
    return config_dir() / "themes"


def read_themes() -> tuple[list[Theme], list[str]]:
    """Those that can be used, and a sentence for each file that cannot."""
    themes, wrong = [], []
    for file in sorted(themes_dir().glob("*.toml")):
        try:
            themes.append(read_theme(file))
        except LoraLabError as error:
            wrong.append(str(error))
    return themes, wrong


def read_theme(file: Path) -> Theme:
    """A theme named after its file. BadInput names what does not fit."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML: {error}") from error
    base = BASES.get(str(told.pop("based_on", "dark")))
    if base is None:
        raise BadInput(f'{file}: based_on is "dark" or "light"')
    for name, colour in told.items():
        _check(file, name, colour)
    main = {name: colour for name, colour in told.items() if name in COLOURS}
    own = {name: colour for name, colour in told.items() if name not in COLOURS}
    return replace(base, name=file.stem, variables={**base.variables, **own}, **main)


def _check(file: Path, name: str, colour: Any) -> None:
    if name not in COLOURS and name not in DARK.variables:
        known = ", ".join((*COLOURS, *list(DARK.variables)[:5]))
        raise BadInput(f"{file}: {name!r} is no colour of a theme; there are {known}")
    try:
        Color.parse(str(colour) if name in (*COLOURS, *DRAWN) else SHARE.sub("", str(colour)))
    except ColorParseError as error:
        raise BadInput(f'{file}: {name} is {colour!r}, which is no colour like "#7aa8f0"') from error


def _choice_file() -> Path:
    return config_dir() / "ui.json"


def chosen_theme() -> str | None:
    """What was chosen last; a file that cannot be read counts as no choice."""
    try:
        told = json.loads(_choice_file().read_text(encoding="utf-8"))
        return str(told["theme"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_theme(name: str) -> None:
    """Raises LoraLabError where nothing can be written."""
    try:
        config_dir().mkdir(parents=True, exist_ok=True)
        write_atomic(_choice_file(), json.dumps({"theme": name}).encode() + b"\n")
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"keep the theme in {_choice_file()}")) from error
