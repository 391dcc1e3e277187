"""What a run is called: the name it began with is in run.json, which never changes; a later one lies beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_atomic

if TYPE_CHECKING:
    from loralab_core.runs.directory import RunDirectory

LONGEST = 80


def given_name(path: Path) -> str | None:
    """The name in a run's `name.txt`; None where there is none that can be read."""
    try:
        return check_name(path.read_text(encoding="utf-8")) or None
    except (OSError, UnicodeDecodeError, BadInput):
        return None


def rename_run(run: "RunDirectory", text: str) -> str | None:
    """Call `run` by `text` from now on; nothing in it takes back the name it began with. Returns the name it has.

    Also for a run that is being trained: its engine never looks. BadInput for what is no name; LoraLabError when the
    disk refuses.
    """
    name = check_name(text)
    try:
        if name:
            write_atomic(run.name_path, f"{name}\n".encode())
        else:
            run.name_path.unlink(missing_ok=True)
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {run.name_path}")) from error
    return run.record().name


def check_name(text: str) -> str:
    """`text` on one line. BadInput where it is too long or has characters that cannot be shown."""
    name = " ".join(text.split())
    if len(name) > LONGEST:
        raise BadInput(f"a name has at most {LONGEST} characters; this one has {len(name)}")
    if not name.isprintable():
        raise BadInput(f"{name!r} has characters that cannot be shown; use letters, digits and signs")
    return name
