"""The base model of an engine: read in a thread of its own, so that the engine goes on answering meanwhile."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config
from loralab_core.errors import BadInput
from loralab_core.lora.loaded import LoadedModel, load
from loralab_core.models.loading import Progress, fill_decoder, fingerprint
from loralab_core.text.errors import Cancelled
from loralab_core.text.tokenizer_files import read_tokenizer_files
from loralab_core.wire.messages import Loading

TELL_EVERY_S = 0.1
BASE = ""  # what is being read: the base model; otherwise the fingerprint of the weights that take its place

Tell = Callable[[Loading], None]


class NotRead(Exception):
    """The model is being read: who needs it comes back at another turn."""


class Facts(NamedTuple):
    """What the model's files tell before its weights are read."""

    chat_template: Literal["own", "plain"] = "plain"
    context: int = 0
    parameters: int = 0


class Reading:
    """One reading in its thread, which ends at its next report once `abandoned` is set."""

    def __init__(self, what: str, work: Callable[[Progress], Any], tell: Tell):
        self.what, self.abandoned = what, False
        self.result: Any = None
        self.error: Exception | None = None
        self._tell, self._told = tell, 0.0
        self._thread = threading.Thread(target=self._run, args=(work,), name="reading the model")
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self, work: Callable[[Progress], Any]) -> None:
        try:
            self.result = work(self._report)
        except Exception as error:  # raised again in the engine's thread, to who waits for the model
            self.error = error
        except BaseException as error:  # a panic in a library written in Rust is no Exception
            self.error = RuntimeError(f"{type(error).__name__}: {error}")
            self.error.__cause__ = error

    def _report(self, done: int, total: int, what: str) -> None:
        if self.abandoned:
            raise Cancelled("reading the model was cancelled")
        if done == total or time.monotonic() - self._told > TELL_EVERY_S:
            self._told = time.monotonic()
            self._tell(Loading(done=done, total=total, what=what))


class BaseModel:
    """`get` and `hold` raise NotRead until what they are asked for has been read. Only for the engine's thread."""

    def __init__(self, directory: Path, base: str, device: str, full: bool, tell: Tell):
        """`full`: its weights are trained themselves, so runs find it changed. `tell` is called by the thread."""
        self.directory, self.base, self.device, self.full = directory, base, device, full
        self.lm: LoadedModel | None = None
        self._tell = tell
        self._reading: Reading | None = None
        self._failure: tuple[str, Exception] | None = None
        self._facts: Facts | None = None
        self._read_as = ""  # fingerprint of the model's files when they were read
        self._held = ""  # fingerprint of the trained weights that were put in their place since
        self._is_as_read = False

    @property
    def is_being_read(self) -> bool:
        return self._reading is not None

    def facts(self) -> Facts:
        if self._facts is None:
            self._facts = read_facts(self.directory)
        return self._facts

    def get(self) -> LoadedModel:
        """The model; reading it begins when it is first asked for. Raises what went wrong with that."""
        if self._reading is not None:
            raise NotRead  # also where it is there: `hold` may be changing it
        if self.lm is None:
            self._have(BASE, lambda report: _load(self.directory, self.base, self.device, report))
        assert self.lm is not None
        return self.lm

    def get_for_run(self, forget: Callable[[], object]) -> LoadedModel:
        """As `get`, but read again where its files have changed since, or where a run or `hold` may have changed it.

        `forget` is called when the old one goes.
        """
        if self.lm is not None and self._reading is None and self._is_stale(self.lm):
            self.lm = None
            forget()
        lm = self.get()
        self._is_as_read = False
        return lm

    def _is_stale(self, lm: LoadedModel) -> bool:
        return (self.full and not self._is_as_read) or fingerprint(lm.directory) != self._read_as

    def hold(self, place: Path) -> None:
        """Where all weights are trained: have the model in `place`, a result or a checkpoint, answer."""
        lm, wanted = self.get(), fingerprint(place)
        if wanted != self._held:
            self._held, self._is_as_read = "", False
            self._have(wanted, lambda report: fill_decoder(lm.model, place, report))

    def _have(self, what: str, work: Callable[[Progress], Any]) -> None:
        if self._failure is not None and self._failure[0] == what:
            raise self._failure[1]
        if self._reading is None:
            self._reading = Reading(what, work, self._tell)
        raise NotRead

    def look(self) -> None:
        """Take over what the thread has come to."""
        reading = self._reading
        if reading is None or not reading.has_ended:
            return
        self._reading = None
        if reading.abandoned or reading.error is not None:
            self._tell(Loading(done=0, total=0, what="the model was not read"))
        if reading.abandoned:
            del reading
            _free()
            return
        if reading.error is not None:
            self._failure = (reading.what, reading.error)
        elif reading.what == BASE:
            (self.lm, self._read_as), self._held, self._is_as_read = reading.result, "", True
            self._facts = None
        else:
            self._held = reading.what

    def nobody_waits(self) -> None:
        """Abandon the reading; what went wrong with the last one may be tried again."""
        if self._failure is not None:
            self._failure = None
            _free()
        if self._reading is not None:
            self._reading.abandoned = True


def _free() -> None:
    """Give back what a reading that came to nothing had read: the frames of its error hold it, in a circle."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing where CUDA is not in use


def _load(directory: Path, base: str, device: str, report: Progress) -> tuple[LoadedModel, str]:
    lm = load(directory, base, device, report)
    return lm, fingerprint(lm.directory)


def read_facts(directory: Path) -> Facts:
    """What can be told from small files; what cannot be read here is told by whoever needs the model."""
    try:
        config = read_config(directory)
    except BadInput:
        return Facts()
    try:
        templates = read_tokenizer_files(directory).templates
    except BadInput:
        templates = {}
    return Facts("own" if templates else "plain", config.context, parameter_count(config))
