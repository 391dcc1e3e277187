"""The terminal and the line to it, as the environment tells, and the sequences that go there.

Imports nothing of Textual, which reads its frame rate as it is imported.
"""

import getpass
import ipaddress
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

Environment = Mapping[str, str]

# xterm's title stack: most terminals give the old title back, the others leave that to the next prompt of the shell.
PUSH_TITLE, POP_TITLE = "\x1b[22;0t", "\x1b[23;0t"


@dataclass(frozen=True)
class Pace:
    """How often things are drawn: frames a second at most, seconds between refreshes of figures and of an answer."""

    fps: int
    refresh_s: float
    flush_s: float


def over_ssh(environ: Environment) -> bool:
    return "SSH_CONNECTION" in environ


def pace(environ: Environment) -> Pace:
    """Slower over SSH, or as LORALAB_FPS says."""
    asked = environ.get("LORALAB_FPS", "")
    fps = max(1, min(60, int(asked))) if asked.isdigit() else 20 if over_ssh(environ) else 60
    return Pace(fps, 0.5, 0.1) if fps >= 30 else Pace(fps, 1.0, max(0.2, 1 / fps))


def prepare(environ: MutableMapping[str, str]) -> None:
    """Before Textual is imported. What a user has set stays."""
    now = pace(environ)
    environ.setdefault("TEXTUAL_FPS", str(now.fps))
    if now.fps < 30:
        environ.setdefault("TEXTUAL_ANIMATIONS", "none")


def ascii_only(environ: Environment, encoding: str | None = None) -> bool:
    """Whether signs beyond ASCII would not show: asked for, no UTF-8, or the Linux console with its small font."""
    if (asked := environ.get("LORALAB_ASCII")) is not None:
        return asked not in ("", "0")
    named = (encoding or sys.stdout.encoding or "ascii").lower().replace("-", "")
    spoken = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    charset = spoken.partition(".")[2].lower().replace("-", "")
    return named != "utf8" or environ.get("TERM") == "linux" or charset not in ("", "utf8")


def title(text: str, environ: Environment) -> str:
    """Sets the window's title; nothing where that would be printed instead."""
    if environ.get("TERM", "") in ("", "linux", "dumb"):
        return ""
    return f"\x1b]0;{''.join(letter for letter in text if letter.isprintable())}\a"


def desktop_notice(text: str, environ: Environment) -> str:
    """A notification beside the window, only for terminals known to have it; others might print it."""
    said = "".join(letter for letter in text if letter.isprintable() and letter != ";")
    if "TMUX" in environ:
        return ""
    if environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "ghostty"):
        return f"\x1b]9;{said}\a"
    if environ.get("TERM") == "xterm-kitty":
        return f"\x1b]99;;{said}\x1b\\"
    if environ.get("TERM", "").startswith("foot"):
        return f"\x1b]777;notify;LoRA Lab;{said}\x1b\\"
    return ""


def scp_line(path: str, environ: Environment) -> str:
    """What to type on the other machine, so that `path` comes here."""
    source = shlex.quote(path).replace("'~/", "~/'") if path.startswith("~/") else shlex.quote(path)
    client = environ.get("SSH_CONNECTION", "").split()
    port = f"-P {client[3]} " if len(client) == 4 and client[3] != "22" else ""
    user = environ.get("USER") or getpass.getuser()
    return f"scp -r {port}{source} {user}@{_address(client)}:"


def command(environ: Environment, program: str | None = None) -> str:
    """What to type to open the studio again, from anywhere: its name where the shell finds it, else its path."""
    if shutil.which("loralab-tui", path=environ.get("PATH", "")):
        return "loralab-tui"
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0] if program is None else program)), "loralab-tui")
    if not os.path.isfile(path):
        return "loralab-tui"
    home = environ.get("HOME", "").rstrip("/")
    if home and path.startswith(home + "/"):
        return "~/" + shlex.quote(path[len(home) + 1 :])
    return shlex.quote(path)


def _address(client: list[str]) -> str:
    """As the other side sees this machine: its address, unless that only means something here."""
    try:
        address = ipaddress.ip_address(client[2]) if len(client) == 4 else None
    except ValueError:
        address = None
    if address is None or address.is_loopback:
        return socket.gethostname()
    return f"[{address}]" if address.version == 6 else str(address)


PACE = pace(os.environ)
