"""Answers: a queue of questions, one answered at a time, each pinned to one adapter and sent to who asked."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loralab_core.engine.base_model import NotRead
from loralab_core.engine.chat_log import keep_exchange
from loralab_core.engine.refusal import refusal
from loralab_core.engine.run_host import RunHost
from loralab_core.engine.server import Connection, Server
from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, as_read, prompt_ids
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.lora.peft_files import load_adapter
from loralab_core.lora.peft_settings import CONFIG
from loralab_core.paths import expand_user
from loralab_core.runs.config import check_compute
from loralab_core.runs.directory import RunDirectory, open_run
from loralab_core.runs.result import newest_result
from loralab_core.wire.messages import Failed, Generate, Generated, GenerationStarted, Piece

RESIDENT = 8  # adapters kept in memory for questions to come


@dataclass(eq=False)
class Question:
    client: Connection
    request: Generate
    arrived: float = field(default_factory=time.perf_counter)
    answer: Answer | None = None
    pieces: Iterator[str] = iter(())
    step: int | None = None
    first_token_s: float = 0.0


class Answers:
    def __init__(
        self,
        server: Server,
        model: Callable[[], LoadedModel],
        runs: RunHost,
        hold: Callable[[Path], None] | None = None,
    ):
        """`model` and `hold` may raise NotRead. `hold` is given where all weights are trained: it puts those of a
        model directory into the model."""
        self.server, self.model, self.runs, self.hold = server, model, runs, hold
        self._queue: deque[Question] = deque()
        self._resident: dict[tuple[str, int], Adapter] = {}  # by directory and its time of writing

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    @property
    def speaking(self) -> bool:
        """An answer is being given, so nobody needs to be waited for."""
        return bool(self._queue) and self._queue[0].answer is not None

    @property
    def count(self) -> int:
        return len(self._queue)

    def ask(self, client: Connection, request: Generate) -> None:
        self._queue.append(Question(client, request))

    def cancel(self, client: Connection, number: int) -> None:
        for question in tuple(self._queue):
            if question.client is client and question.request.id == number:
                self._finish(question)

    def forget(self, client: Connection) -> None:
        self._queue = deque(question for question in self._queue if question.client is not client)

    def refuse_all(self, why: str) -> None:
        for question in self._queue:
            self.server.send(question.client, Failed(id=question.request.id, sentence=why))
        self._queue.clear()

    def turn(self, budget_s: float | None) -> None:
        """Work on the first question for at most `budget_s` seconds, one token at least; None: one token.

        Without training there is no need for a budget, and after each token requests are looked at again.
        """
        question = self._queue[0]
        deadline = time.perf_counter() + (budget_s or 0.0)
        while True:
            try:
                if question.answer is None:
                    self._begin(question)
                if not self._one_token(question):
                    self._finish(question)
                    return
            except NotRead:
                return
            except Exception as error:
                if question in self._queue:  # it is not where its end could not be told
                    self._queue.remove(question)
                self.server.send(question.client, refusal(question.request.id, error))
                return
            if time.perf_counter() >= deadline or not self.server.inbox.empty():
                return

    def _begin(self, question: Question) -> None:
        request, lm = question.request, self.model()
        adapter, question.step = self._speaker(request, lm)
        goes_on = request.continue_final_message
        ids = prompt_ids(lm, messages=request.messages, prompt=request.prompt, continue_final_message=goes_on)
        begun = _begun(request, lm, ids)
        continues = goes_on or request.messages is None
        check_compute(request.compute, lm.base)
        question.answer = Answer(
            lm, ids, request.sampling, adapter, continues=continues, begun=begun, compute=request.compute
        )
        question.pieces = question.answer.pieces()
        started = GenerationStarted(id=request.id, step=question.step, prompt_tokens=len(ids), begun=begun)
        self.server.send(question.client, started)

    def _one_token(self, question: Question) -> bool:
        """False when the answer has ended."""
        piece = next(question.pieces, None)
        if piece is None:
            return False
        if not question.first_token_s:
            question.first_token_s = time.perf_counter() - question.arrived
        if piece:
            self.server.send(question.client, Piece(id=question.request.id, text=piece))
        return True

    def _finish(self, question: Question) -> None:
        """Ended by itself, or cancelled."""
        self._queue.remove(question)
        answer = question.answer
        reply = Generated(
            id=question.request.id,
            text=answer.text.removeprefix(answer.begun) if answer else "",
            step=question.step,
            prompt_tokens=len(answer.ids) if answer else 0,
            new_tokens=len(answer.tokens) if answer else 0,
            tokens_per_s=answer.tokens_per_s if answer else 0.0,
            first_token_s=question.first_token_s,
            finish=answer.finish if answer else "cancelled",
        )
        self._keep(question, reply)
        self.server.send(question.client, reply)

    # ---- who speaks

    def _speaker(self, request: Generate, lm: LoadedModel) -> tuple[Adapter | None, int | None]:
        """The adapter to answer with, and the step it is pinned to while it is being trained. Raises BadInput."""
        if self.hold and request.speaker != "lora":
            raise BadInput(
                "all weights were trained, so there is no base beside them here, nor adapters of it; "
                f"`loralab chat --model {lm.directory}` opens it"
            )
        if request.speaker == "base":
            return None, None
        if request.speaker != "lora":
            return self._resident_adapter(Path(request.speaker), lm), None
        training = self.runs.training
        run = open_run(Path(request.run)) if request.run else training.run if training else None
        if run is None:
            raise BadInput("there is no run whose adapter could answer; train one or name an adapter directory")
        if training and training.run == run and training.trainer:
            adapter = training.trainer.adapter
            return (adapter.snapshot() if adapter else None), training.step
        return self._finished_run(run, lm)

    def _finished_run(self, run: RunDirectory, lm: LoadedModel) -> tuple[Adapter | None, int | None]:
        result = newest_result(run)
        if result.kind == "adapter":
            return self._resident_adapter(result.place, lm), result.step
        if self.hold is None:
            raise BadInput(f"{run.path} trained all weights; `loralab chat --run {run.path}` opens them in an engine")
        if self.runs.training:  # their place is taken
            raise BadInput("this run is about to go on; ask again after its first step")
        self.hold(result.place)
        return None, result.step

    def _resident_adapter(self, directory: Path, lm: LoadedModel) -> Adapter:
        """Read once and kept; read again when the directory was written anew."""
        place = expand_user(directory).resolve()
        written = (place / CONFIG).stat().st_mtime_ns if (place / CONFIG).is_file() else 0
        key = (str(place), written)
        adapter = self._resident.pop(key, None) or load_adapter(lm.model, place)
        self._resident[key] = adapter  # at the end: the one that was asked last
        for old in list(self._resident)[:-RESIDENT]:
            del self._resident[old]
        return adapter

    def forget_adapters(self) -> None:
        self._resident.clear()

    def _keep(self, question: Question, reply: Generated) -> None:
        """With the run that was named, or the one being trained."""
        request, training = question.request, self.runs.training
        run = RunDirectory(Path(request.run)) if request.run else training.run if training else None
        if run is not None and question.answer is not None and run.path.is_dir():
            keep_exchange(run, request, reply, question.answer.begun)


def _begun(request: Generate, lm: LoadedModel, ids: list[int]) -> str:
    """What of the answer the prompt ends with."""
    if not (request.continue_final_message and request.messages):
        return ""
    content = request.messages[-1].get("content")
    return as_read(content, lm.text().decode(ids)) if isinstance(content, str) else ""
