"""Files of a repository into the cache: some at once, each going on where it ended, none kept that arrived wrong.

The Hub's own library begins a file anew when its process ended or the line was reset; a model is gigabytes.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from loralab_core.catalog.hub_cache import CachedRepository, hub_cache, matches
from loralab_core.catalog.repository import HubFile, Repository
from loralab_core.errors import LoraLabError, explain_os_error

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all, what

AT_ONCE = 4  # files
ATTEMPTS = 5  # in a row without a byte
PAUSES_S = (1, 2, 4, 8)  # between them
TIMEOUT_S = 10  # of silence
CHUNK = 1 << 16


class Meter:
    """Adds up what all threads receive, and tells them to stop when one failed or nobody waits any more."""

    def __init__(self, done: int, total: int, what: str, progress: Progress) -> None:
        self.done, self.total, self.what, self.progress = done, total, what, progress
        self.lock, self.stopped = threading.Lock(), threading.Event()
        progress(done, total, what)

    def add(self, count: int) -> None:
        if self.stopped.is_set():
            raise LoraLabError("the download was stopped; what has arrived is kept")
        with self.lock:
            self.done += count
            self.progress(self.done, self.total, self.what)


def fetch(repository: Repository, files: Iterable[HubFile], progress: Progress) -> Path:
    """The snapshot's directory, with `files` in it. What is there already is not downloaded again.

    Raises LoraLabError where the disk is too small or a file arrives wrong, and what the Hub's library raises.
    """
    cache, wanted = CachedRepository(repository.id), list(files)
    snapshot = cache.snapshot(repository.commit)
    missing = [file for file in wanted if not (snapshot / file.name).is_file()]
    here = {file.name: _size(cache.partial(file.etag)) for file in missing}
    total, lacking = sum(file.size for file in wanted), sum(file.size - here[file.name] for file in missing)
    _check_space(repository.id, lacking)
    meter = Meter(total - lacking, total, f"downloading {repository.id}", progress)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(_fetch_file, repository, file, cache, meter) for file in missing]
        _wait(running, meter)
    return snapshot


def _wait(running: list[Future[None]], meter: Meter) -> None:
    """The first error ends all; so does Ctrl-C, which arrives here and not in the threads."""
    try:
        ended, _ = wait(running, return_when=FIRST_EXCEPTION)
        if failed := next((future for future in ended if future.exception()), None):
            failed.result()
    finally:
        meter.stopped.set()
        for future in running:
            future.cancel()


def _check_space(id: str, lacking: int) -> None:
    place = hub_cache()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if lacking > free:
        raise LoraLabError(
            f"{id} needs {lacking / 1e9:,.1f} GB more and {hub_cache()} has {free / 1e9:,.1f} GB free; "
            "make room there, or set HF_HOME to a folder on a larger disk"
        )


def _fetch_file(repository: Repository, file: HubFile, cache: CachedRepository, meter: Meter) -> None:
    try:
        blob = cache.blob(file.etag)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if blob.is_file() and blob.stat().st_size == file.size:  # another revision's
            meter.add(file.size)
        else:
            _fetch_blob(repository, file, cache, meter)
        cache.place(file.etag, repository.commit, file.name)
    except OSError as error:
        if getattr(error, "response", None) is not None:  # the Hub's errors are OSErrors too
            raise
        raise LoraLabError(explain_os_error(error, f"write {file.name} of {repository.id} to {cache.path}")) from None


def _fetch_blob(repository: Repository, file: HubFile, cache: CachedRepository, meter: Meter) -> None:
    partial = cache.partial(file.etag)
    with _alone(partial) as opened:
        _receive(repository, file, opened, meter)
        opened.flush()
        os.fsync(opened.fileno())
        if partial.stat().st_size != file.size or not matches(partial, file.etag):
            partial.unlink()
            raise LoraLabError(
                f"{file.name} of {repository.id} arrived damaged (its size or checksum is not the Hub's) "
                "and was removed; try again"
            )
        os.replace(partial, cache.blob(file.etag))


@contextmanager
def _alone(partial: Path) -> Iterator[BinaryIO]:
    """The file opened for appending, unless another process is writing it."""
    with open(partial, "ab") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LoraLabError("another program downloads this model now; try again when it is done") from None
        except OSError:  # a file system without locks
            pass
        yield opened


def _receive(repository: Repository, file: HubFile, opened: BinaryIO, meter: Meter) -> None:
    """Append what is missing; a line that drops is taken up again as long as something arrives between."""
    fruitless = 0
    while (before := opened.tell()) < file.size:
        try:
            for chunk in _stream(repository, file, opened, meter):
                opened.write(chunk)
                meter.add(len(chunk))
        except Exception as error:
            if not _may_pass(error):
                raise
            fruitless = 0 if opened.tell() > before else fruitless + 1
            if fruitless == ATTEMPTS:
                raise
        else:
            if opened.tell() == before:
                return  # the Hub has no more of it
        if fruitless:
            _pause(PAUSES_S[fruitless - 1], meter)


def _may_pass(error: Exception) -> bool:
    """Whether asking again may help: a dropped line, a Hub in trouble; not the disk's errors, not a refusal.

    The HTTP client has other errors in each generation of the Hub's library, so they are what is left.
    """
    if (response := getattr(error, "response", None)) is not None:
        return bool(response.status_code >= 500)
    return not isinstance(error, (LoraLabError, OSError))


def _stream(repository: Repository, file: HubFile, opened: BinaryIO, meter: Meter) -> Iterator[bytes]:
    """What follows what is there. A redirect to another host is followed without the token."""
    hub: Any = import_module("huggingface_hub")
    address = hub.hf_hub_url(repository.id, file.name, revision=repository.commit)
    headers = hub.utils.build_hf_headers(library_name="loralab") | {"Accept-Encoding": "identity"}
    if start := opened.tell():
        headers["Range"] = f"bytes={start}-"
    with hub.utils.get_session().stream("GET", address, headers=headers, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # it has no more than we
            return
        hub.utils.hf_raise_for_status(response)
        if start and response.status_code != 206:  # everything from the beginning
            opened.seek(0)
            opened.truncate()
            meter.add(-start)
        yield from _bounded(response.iter_bytes(CHUNK), file.size - opened.tell())


def _bounded(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Ends a stream that is longer than announced one chunk later, so that it cannot fill the disk."""
    for chunk in chunks:
        yield chunk
        most -= len(chunk)
        if most < 0:
            return


def _pause(seconds: float, meter: Meter) -> None:
    if meter.stopped.wait(seconds):
        meter.add(0)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
