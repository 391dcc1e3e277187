"""Files of a repository into the cache: some at once, each going on where it ended, none kept that arrived wrong.

The Hub's own library begins a file anew when its process ended or the line was reset; a model is gigabytes.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from loralab_core.catalog.hub_cache import CachedRepository, hub_cache, matches
from loralab_core.catalog.meter import Meter, Progress
from loralab_core.catalog.repository import HubFile, Repository
from loralab_core.errors import LoraLabError, explain_os_error

AT_ONCE = 4  # files
ATTEMPTS = 5  # in a row without a byte
PAUSES_S = (1, 2, 4, 8)  # between them
TIMEOUT_S = 10  # of silence
LOOK_S = 0.2  # between two looks at how far it is
CHUNK = 1 << 16


def fetch(repository: Repository, files: Iterable[HubFile], progress: Progress) -> Path:
    """The snapshot's directory, with `files` in it. What is there already is not downloaded again.

    Raises LoraLabError where the disk is too small or a file arrives wrong, and what the Hub's library raises.
    """
    cache, wanted = CachedRepository(repository.id), list(files)
    snapshot = cache.snapshot(repository.commit)
    missing = [file for file in wanted if not (snapshot / file.name).is_file()]
    here = {file.name: _arrived(cache, file) for file in missing}
    total, lacking = sum(file.size for file in wanted), sum(file.size - here[file.name] for file in missing)
    _check_space(repository.id, lacking)
    meter = Meter(repository.id, total - lacking, total, progress)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:  # Ctrl-C may also come before all are under way
            _wait(
                [pool.submit(_fetch_file, repository, file, here[file.name], cache, meter) for file in missing], meter
            )
        finally:
            meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
    return snapshot


def _arrived(cache: CachedRepository, file: HubFile) -> int:
    """Bytes of it that are on this disk."""
    return file.size if _is_here(cache, file) else _size(cache.partial(file.etag))


def _is_here(cache: CachedRepository, file: HubFile) -> bool:
    """As a blob: another revision's, or another program has brought it meanwhile."""
    blob = cache.blob(file.etag)
    return blob.is_file() and blob.stat().st_size == file.size


def _wait(running: list[Future[None]], meter: Meter) -> None:
    """The first error ends all; so does Ctrl-C, which arrives here and not in the threads, and who gave up waiting."""
    under_way = set(running)
    while under_way:
        ended, under_way = wait(under_way, LOOK_S, FIRST_EXCEPTION)
        for future in ended:
            future.result()
        meter.tell()


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


def _fetch_file(repository: Repository, file: HubFile, counted: int, cache: CachedRepository, meter: Meter) -> None:
    """`counted`: bytes of it that the meter has already."""
    try:
        cache.blob(file.etag).parent.mkdir(parents=True, exist_ok=True)
        if not _is_here(cache, file):
            _fetch_blob(repository, file, counted, cache, meter)
        cache.place(file.etag, repository.commit, file.name)
    except OSError as error:
        if getattr(error, "response", None) is not None:  # the Hub's errors are OSErrors too
            raise
        why = explain_os_error(error, f"write {file.name} of {repository.id} to {cache.path}")
        raise LoraLabError(f"{why}; what has arrived is kept, so try again when that is mended") from None


def _fetch_blob(repository: Repository, file: HubFile, counted: int, cache: CachedRepository, meter: Meter) -> None:
    partial = cache.partial(file.etag)
    with _alone(partial, meter) as opened:
        if _is_here(cache, file):
            partial.unlink()
            meter.add(file.size - counted)
            return
        meter.add(opened.tell() - counted)
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
def _alone(partial: Path, meter: Meter) -> Iterator[BinaryIO]:
    """The file opened for appending, as soon as no other process writes it."""
    while True:
        with open(partial, "ab") as opened:
            _lock(opened, meter)
            if partial.exists() and os.path.samestat(partial.stat(), os.fstat(opened.fileno())):
                yield opened
                return  # else it is the other's by now: a blob, or removed


def _lock(opened: BinaryIO, meter: Meter) -> None:
    while True:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            meter.pause(LOOK_S, "another program that downloads it")
        except OSError:  # a file system without locks
            return
        else:
            return


def _receive(repository: Repository, file: HubFile, opened: BinaryIO, meter: Meter) -> None:
    """Append what is missing; a line that drops is taken up again as long as something arrives between."""
    fruitless = 0
    while (before := opened.tell()) < file.size:
        meter.check()
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
            meter.pause(PAUSES_S[fruitless - 1])


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
        with meter.line(response):
            yield from _bounded(response.iter_bytes(CHUNK), file.size - opened.tell())


def _bounded(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Ends a stream that is longer than announced one chunk later, so that it cannot fill the disk."""
    for chunk in chunks:
        yield chunk
        most -= len(chunk)
        if most < 0:
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
