"""A run is a directory: where its files lie, how it is created, and how it is found again by what a user types."""

import glob
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.paths import expand_user, runs_dir
from loralab_core.runs.config import TrainConfig, config_to_dict
from loralab_core.runs.events import read
from loralab_core.runs.naming import given_name
from loralab_core.runs.record import RunRecord, read_record, write_record


class RunDirectory:
    """The files of one run. Cheap to make; touches no file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "run.json"
        self.name_path = path / "name.txt"  # what the run was renamed to; run.json keeps the name it began with
        self.events_path = path / "events.jsonl"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"
        self.model = path / "model"  # the result of a run that trains all weights
        self.chat_path = path / "chat.jsonl"
        self.log_path = path / "log.txt"
        self.owner_path = path / "engine.pid"
        self.identity_path = path / ".engine.json"

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunDirectory) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def record(self) -> RunRecord:
        """As in run.json, under the name the run has now."""
        record = read_record(self.record_path)
        name = given_name(self.name_path)
        return msgspec.structs.replace(record, name=name) if name else record

    def prepare(self, facts: dict[str, Any]) -> RunRecord:
        """Add what was resolved before step 1 to run.json. LoraLabError if that was done before: it is immutable."""
        record = read_record(self.record_path)
        if record.prepared is not None:
            raise LoraLabError(f"{self.record_path} is already complete; it never changes after step 1")
        complete = msgspec.structs.replace(record, prepared=facts)
        write_record(self.record_path, complete)
        return complete


def open_run(path: Path) -> RunDirectory:
    """The run at `path`. BadInput if it is none, with the reason."""
    run = RunDirectory(expand_user(path).resolve())
    run.record()
    return run


def create_run(config: TrainConfig, asked: dict[str, Any] | None = None) -> RunDirectory:
    """Make the directory and run.json of a new run, in `config.run_dir` or below LORALAB_HOME under a readable id.

    A run with a directory of its own is linked from LORALAB_HOME/runs, so that it is listed like the others.
    BadInput if `config.run_dir` is in use; LoraLabError when the disk refuses.
    """
    created = time.time()
    identifier = _new_id(config, created)
    path = expand_user(config.run_dir).absolute() if config.run_dir else runs_dir() / identifier
    _make_empty(path)
    run = RunDirectory(path.resolve())
    record = RunRecord(
        id=identifier, created=created, config=config_to_dict(config), asked=asked or {}, name=config.name
    )
    write_record(run.record_path, record)
    if config.run_dir:
        _link(identifier, run.path)
    return run


def _new_id(config: TrainConfig, created: float) -> str:
    """Month and day, what it is about, and four digits of chance: `1120-tinyshakespeare-3f2a`."""
    about = config.name or _subject(config.corpus[0] if config.corpus else "run")
    slug = re.sub(r"[^a-z0-9]+", "-", about.lower()).strip("-")[:32] or "run"
    return f"{time.strftime('%m%d', time.localtime(created))}-{slug}-{secrets.token_hex(2)}"


def check_free(path: Path) -> None:
    """BadInput where a run lies that could be continued. One that never began may be replaced."""
    if (path / "run.json").exists() and not _never_began(RunDirectory(path)):
        raise BadInput(f"{path} already holds a run; `loralab resume {path}` continues it, or name another directory")


def _never_began(run: RunDirectory) -> bool:
    """Whether `run` failed before anything was prepared (a wrong path, a broken model): nothing in it is worth keeping.

    A run that is interrupted so early has not failed; it is resumed.
    """
    events = read(run.events_path)
    kept = (run.chat_path, run.adapter, run.model, run.owner_path)
    with suppress(BadInput):
        failed = bool(events) and events[-1]["event"] == "failed" and run.record().prepared is None
        return failed and not any(path.exists() for path in kept)
    return False


def _subject(corpus: str) -> str:
    """A file's name without its ending; of a pattern the last folder that is spelled out."""
    parts = [part for part in Path(corpus).parts if not glob.has_magic(part)]
    return Path(parts[-1]).stem if parts else "run"


def _make_empty(path: Path) -> None:
    check_free(path)
    try:
        if (path / "run.json").exists():
            _clear(RunDirectory(path.resolve()))
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise BadInput(f"{path} is not empty; name a new directory for the run")
        (path / "checkpoints").mkdir()
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"create the run directory {path}")) from error


def _clear(run: RunDirectory) -> None:
    """Remove the files of a run that never began, and its place in the list; what else lies there stays."""
    for link in _links(run):
        link.unlink()
    run.checkpoints.rmdir()
    for path in (run.events_path, run.log_path, run.name_path, run.record_path):
        path.unlink(missing_ok=True)


def _link(identifier: str, path: Path) -> None:
    if path.parent == runs_dir().resolve():
        return
    with suppress(OSError):  # only the listing needs it
        runs_dir().mkdir(parents=True, exist_ok=True)
        (runs_dir() / identifier).symlink_to(path, target_is_directory=True)


def _links(run: RunDirectory) -> list[Path]:
    return [path for path in runs_dir().glob("*") if path.is_symlink() and path.resolve() == run.path]


def list_runs() -> list[tuple[RunDirectory, RunRecord]]:
    """Every readable run below LORALAB_HOME (and those linked from there), the oldest first."""
    found: dict[RunDirectory, RunRecord] = {}
    for path in runs_dir().glob("[!.]*"):  # one that is being deleted has a dot
        run = RunDirectory(path.resolve())
        with suppress(BadInput):  # a damaged one is still reachable by its path, which says why
            found[run] = run.record()
    return sorted(found.items(), key=lambda item: item[1].created)


def find_run(text: str) -> RunDirectory:
    """RUN as users write it: an id, a name, a unique start of one, a path, or `last`. BadInput otherwise, with
    candidates."""
    is_path = "/" in text or text.startswith((".", "~"))
    if is_path and os.path.exists(os.path.join(os.path.expanduser(text), "run.json")):
        return open_run(Path(text))
    runs = list_runs()
    if text == "last" and runs:
        return runs[-1][0]
    matching = [one for one in runs if text == one[1].name] if is_path else _matching(text, runs)
    if len(matching) == 1:
        return matching[0][0]
    if not matching and (is_path or (Path(text) / "run.json").exists()):
        return open_run(Path(text))
    candidates = [record.id for _, record in matching or runs]
    raise BadInput(_not_found(text, candidates, bool(matching)))


def _matching(text: str, runs: list[tuple[RunDirectory, RunRecord]]) -> list[tuple[RunDirectory, RunRecord]]:
    """Those with this id, else with this name, else with an id or a name that begins so."""
    by_id = [one for one in runs if text in (one[1].id, one[0].path.name)]
    by_name = [one for one in runs if text == one[1].name]
    beginning = [
        (run, record)
        for run, record in runs
        if any(name.startswith(text) for name in (record.id, run.path.name, record.name or ""))
    ]
    return by_id or by_name or beginning


def _not_found(text: str, candidates: list[str], ambiguous: bool) -> str:
    if not candidates:
        return f"no run {text!r}: there are no runs in {runs_dir()} yet; `loralab train` makes one"
    shown = ", ".join(candidates[-5:][::-1])
    return f"run {text!r} is not unique: {shown}" if ambiguous else f"no run is called {text!r}; the newest are {shown}"


def delete_run(run: RunDirectory) -> None:
    """Remove a run that nobody writes, and its link. LoraLabError when the disk refuses."""
    links = _links(run)
    grave = run.path.with_name(f".{run.path.name}.deleted")  # gone from lists at once, however long files take
    try:
        shutil.rmtree(grave, ignore_errors=True)
        run.path.rename(grave)
        for link in links:
            link.unlink()
        shutil.rmtree(grave)
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"delete {run.path}")) from error
