"""Whether this system kills a user's processes at logout, and what saves an engine from it.

systemd's logind does so with KillUserProcesses=yes: a process survives only in a scope of the user's own manager, and
that manager outlives the last session only where lingering is enabled. A Slurm job takes everything with it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

CONFIG_PLACES = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
LINGER_DIRECTORY = Path("/var/lib/systemd/linger")
SCOPE_COMMAND = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")


class Survival(NamedTuple):
    """How an engine outlives this login: a command to put before its own, and a sentence where none helps."""

    wrapper: tuple[str, ...] = ()
    note: str = ""


def kills_user_processes(texts: Iterable[str], user: str) -> bool | None:
    """What logind's configuration says for `user`; later texts override earlier ones. None where it says nothing."""
    settings: dict[str, str] = {}
    for text in texts:
        for line in text.splitlines():
            key, found, value = line.strip().partition("=")
            if found and not key.startswith(("#", ";")):
                settings[key.strip()] = value.strip()
    if "KillUserProcesses" not in settings:
        return None
    only = settings.get("KillOnlyUsers", "").split()
    excluded = settings.get("KillExcludeUsers", "root").split()
    kills = settings["KillUserProcesses"].lower() in ("yes", "true", "on", "1")
    return kills and user not in excluded and (not only or user in only)


def how_to_survive(environment: Mapping[str, str], *, kills: bool, lingers: bool, scope_works: bool) -> Survival:
    """The decision, from facts alone."""
    if job := environment.get("SLURM_JOB_ID"):
        return Survival(
            note=f"this is Slurm job {job}: training ends with the job; "
            "`loralab resume last` in the next one continues from the last checkpoint"
        )
    if not kills:
        return Survival()
    if lingers and scope_works:
        return Survival(wrapper=SCOPE_COMMAND)
    return Survival(
        note="this system ends your processes at logout (KillUserProcesses): run `loginctl enable-linger` once, "
        "or stay logged in until training is over"
    )


def survey(environment: Mapping[str, str] = os.environ) -> Survival:
    """The answer for this computer and user."""
    user = environment.get("USER") or environment.get("LOGNAME") or str(os.getuid())
    if not Path("/run/systemd/system").is_dir():
        return how_to_survive(environment, kills=False, lingers=False, scope_works=False)
    kills = kills_user_processes(_config_texts(), user)
    if kills is None:
        kills = user != "root" and _ask_logind()
    lingers = (LINGER_DIRECTORY / user).exists()
    return how_to_survive(environment, kills=kills, lingers=lingers, scope_works=kills and _scope_works())


def _config_texts() -> list[str]:
    """The main file of highest rank, then the drop-ins by name, as systemd reads them."""
    mains = [Path(place, "logind.conf") for place in CONFIG_PLACES]
    dropins: dict[str, Path] = {}
    for place in reversed(CONFIG_PLACES):
        dropins.update({path.name: path for path in Path(place, "logind.conf.d").glob("*.conf")})
    paths = [path for path in mains if path.is_file()][:1] + [dropins[name] for name in sorted(dropins)]
    return [text for path in paths if (text := _text_of(path))]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _ask_logind() -> bool:
    """The built-in default of this system's logind, which distributions choose differently."""
    name = "org.freedesktop.login1"
    question = ["busctl", "get-property", name, "/org/freedesktop/login1", f"{name}.Manager", "KillUserProcesses"]
    return _output_of(question).strip() == "b true"


def _scope_works() -> bool:
    if shutil.which(SCOPE_COMMAND[0]) is None:
        return False
    return _output_of([*SCOPE_COMMAND, "echo", "works"]).strip() == "works"


def _output_of(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
