"""The user's own keys: `keys.toml` in the config directory, a line for each action that shall differ.

train = "f11"
palette = ["ctrl+p", "alt+p"]

[runs_screen]
delete = "f12"
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.paths import config_dir
from loralab_tui.config import keymap

Keys = tuple[str, ...]
NAMED = "[a-z0-9@]|space|underscore|backslash|home|end|insert|delete|pageup|pagedown|up|down|left|right"
KEY = re.compile(rf"((ctrl|alt|shift)\+)*(f([1-9]|1\d|2[0-4])|{NAMED})")
TYPES = re.compile(rf"(shift\+)?({NAMED})")
TAKEN = {
    "ctrl+c": "copying",
    "ctrl+h": "Backspace",
    "ctrl+i": "Tab",
    "ctrl+j": "Enter",
    "ctrl+m": "Enter",
}


def path() -> Path:
    return config_dir() / "keys.toml"


def read_keys(file: Path) -> dict[str, Keys]:
    """The keys that differ from the defaults; none without a file. BadInput in one sentence for a wrong one."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not TOML ({error}); `loralab-tui --keys` prints one to start from") from error
    changed = {action: _keys_of(file, action, keys) for action, keys in _flat(told).items()}
    _check_apart(file, changed, keymap.ACTIONS)
    _check_apart(file, changed, [*keymap.RUNS, *map(keymap.BY_ID.__getitem__, keymap.BESIDE_RUNS)])
    _check_apart(file, changed, [*keymap.COMPARE, *map(keymap.BY_ID.__getitem__, keymap.BESIDE_COMPARE)])
    return changed


def _flat(told: dict[str, Any]) -> dict[str, Any]:
    """{"train": …, "runs_screen": {"open": …}} as {"train": …, "runs_screen.open": …}."""
    screens = {action.screen for action in keymap.BY_ID.values()}
    flat: dict[str, Any] = {}
    for name, value in told.items():
        inner = name in screens and isinstance(value, dict)
        flat |= {f"{name}.{action}": keys for action, keys in value.items()} if inner else {name: value}
    return flat


def _keys_of(file: Path, action: str, keys: Any) -> Keys:
    if action not in keymap.BY_ID:
        raise BadInput(f"{file}: there is no action {action!r}; `loralab-tui --keys` lists them")
    listed = [keys] if isinstance(keys, str) else keys
    if not isinstance(listed, list) or not listed or not all(isinstance(key, str) for key in listed):
        raise BadInput(f'{file}: {action} wants a key like "f2", or a list of keys')
    return tuple(_checked(file, action, key.strip().lower()) for key in listed)


def _checked(file: Path, action: str, key: str) -> str:
    if key in keymap.BY_ID[action].defaults:
        return key
    if TYPES.fullmatch(key):
        raise BadInput(f"{file}: {action} cannot be on {key}, which types or moves; take a function, ctrl or alt key")
    if key in TAKEN:
        raise BadInput(f"{file}: {action} cannot be on {key}: in a terminal that is {TAKEN[key]}")
    if not KEY.fullmatch(key):
        raise BadInput(f'{file}: {action} is on {key!r}, which is no key like "f2", "ctrl+g" or "alt+x"')
    return key


def _check_apart(file: Path, changed: dict[str, Keys], together: Iterable[keymap.Action]) -> None:
    """Two actions on one key: both are named, since which of them should move is the user's to say."""
    owner: dict[str, str] = {}
    for action in together:
        for key in changed.get(action.full_id) or action.defaults:
            if owner.setdefault(key, action.full_id) != action.full_id:
                raise BadInput(f"{file}: {key} is both {owner[key]} and {action.full_id}; give one of them another key")


def as_toml() -> str:
    """The present keys as a file to start from."""
    lines = [
        f"# Keys of the screen. Put what you change into {path()};",
        "# what is not there keeps its default. Function keys, ctrl+ and alt+ keys; letters only ever type.",
    ]
    for group, actions in keymap.groups():
        lines += ["", f"# {group}"]
        lines += [f"[{actions[0].screen}]"] if actions[0].screen else []
        lines += [f"{_assignment(action.id, action.keys):<34} # {action.tooltip}" for action in actions]
    return "\n".join(lines) + "\n"


def _assignment(action: str, keys: Keys) -> str:
    listed = [f'"{key}"' for key in keys]
    return f"{action} = {listed[0] if len(listed) == 1 else '[' + ', '.join(listed) + ']'}"
