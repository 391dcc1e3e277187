"""Where things live: everything below LORALAB_HOME, sockets in the system's temporary directory."""

import os
import stat
import tempfile
from pathlib import Path

from loralab_core.errors import BadInput, LoraLabError


def expand_user(path: str | Path) -> Path:
    """`path` with the home directory in place of ~. BadInput for the home of a user who does not exist.

    Path.expanduser raises RuntimeError there; os.path.expanduser leaves the ~, which nobody means as a file's name.
    """
    expanded = os.path.expanduser(path)
    user = expanded.partition("/")[0][1:]
    if expanded.startswith("~") and " " not in user:  # a run may be called "~ half"
        why = f"there is no user called {user} here" if user else "nothing says where your home directory is"
        raise BadInput(f"{path} cannot be found: {why}; write the path in full, or ./{path} for one of that name")
    return Path(expanded)


def with_tilde(path: str | Path) -> str:
    """`path` as people read it: ~ for the home directory. `expand_user` takes it back."""
    user, text = os.path.expanduser("~").rstrip("/"), str(path)
    return f"~{text[len(user) :]}" if user and text.startswith(f"{user}/") else text


def home() -> Path:
    """LORALAB_HOME, or the platform's data directory for this user. Not created here. BadInput as expand_user."""
    if set_by_user := os.environ.get("LORALAB_HOME"):
        return expand_user(set_by_user).absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("loralab", appauthor=False))


def config_dir() -> Path:
    """What a user writes by hand: keys, themes. Beside everything else below LORALAB_HOME. Not created here."""
    if os.environ.get("LORALAB_HOME"):
        return home() / "config"
    import platformdirs

    return Path(platformdirs.user_config_dir("loralab", appauthor=False))


def runs_dir() -> Path:
    return home() / "runs"


def adapters_dir() -> Path:
    return home() / "adapters"


def engines_dir() -> Path:
    return home() / "engines"


def cache_dir() -> Path:
    return home() / "cache"


def quantised_dir() -> Path:
    """Models as they were quantised, each a file that may be deleted."""
    return cache_dir() / "quantised"


def socket_dir() -> Path:
    """`loralab-<uid>` of the temporary directory, created 0700; refused if someone else owns it.

    The runtime directory (XDG_RUNTIME_DIR) is not used: it disappears at logout, and engines outlive logins.
    """
    path = Path(tempfile.gettempdir()) / f"loralab-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise LoraLabError(f"{path} is not a private directory of yours; remove it or set TMPDIR to another place")
    return path
