"""Answers: a queue of questions, one answered at a time, each pinned to one adapter and sent to who asked."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch

from loralab_core.device_memory import device_memory, give_back, in_words
from loralab_core.engine.base_model import NotRead
from loralab_core.engine.chat_log import keep_exchange
from loralab_core.engine.refusal import refusal
from loralab_core.engine.run_host import RunHost
from loralab_core.engine.server import Connection, Server
from loralab_core.engine.speakers import Speakers
from loralab_core.errors import OutOfMemory
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.inference.generate import Answer, as_read, prompt_ids
from loralab_core.inference.room import fitting_tokens
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.numerics import check_compute
from loralab_core.wire.messages import Failed, Generate, Generated, GenerationStarted, Piece, Sampling


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
        """`model` and `hold` may raise NotRead; `hold` as Speakers take it."""
        self.server, self.model, self.runs = server, model, runs
        self.speakers = Speakers(runs, hold)
        self._queue: deque[Question] = deque()

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
                self._fail(question, error)
                return
            if time.perf_counter() >= deadline or not self.server.inbox.empty():
                return

    def _fail(self, question: Question, error: Exception) -> None:
        if question in self._queue:  # it is not where its end could not be told
            self._queue.remove(question)
        if question.answer is not None and is_out_of_memory(error):
            device = question.answer.lm.device
            question.answer, question.pieces = None, iter(())
            give_back(device, error)
            error = _too_long(device)
        self.server.send(question.client, refusal(question.request.id, error))

    def give_way(self) -> bool:
        """Training needs the memory: the answer under way ends with a sentence; whether anything was given back."""
        forgotten, speaking = self.speakers.forget(), self.speaking
        if speaking:
            sentence = "the training beside it needed the memory of this answer; ask again, or pause the run first"
            self._fail(self._queue[0], OutOfMemory(f"out of memory: {sentence}"))
        return forgotten or speaking

    def _begin(self, question: Question) -> None:
        request, lm = question.request, self.model()
        adapter, question.step = self.speakers.of(request, lm)
        goes_on = request.continue_final_message
        ids = prompt_ids(lm, messages=request.messages, prompt=request.prompt, continue_final_message=goes_on)
        begun = _begun(request, lm, ids)
        continues = goes_on or request.messages is None
        check_compute(request.compute, lm.base)
        sampling = self._within_room(request.sampling, lm, len(ids))
        question.answer = Answer(lm, ids, sampling, adapter, continues=continues, begun=begun, compute=request.compute)
        question.pieces = question.answer.pieces()
        started = GenerationStarted(id=request.id, step=question.step, prompt_tokens=len(ids), begun=begun)
        self.server.send(question.client, started)

    def _within_room(self, sampling: Sampling, lm: LoadedModel, prompt: int) -> Sampling:
        """No longer an answer than there is memory for beside a training step. Raises OutOfMemory where there is none.

        It ends as one that was cut by its length, which can be gone on with.
        """
        tokens = fitting_tokens(lm.model, prompt, self.runs.reserve)
        if tokens < 1:
            raise _too_long(lm.device, self.runs.reserve)
        return msgspec.structs.replace(sampling, max_new_tokens=min(tokens, sampling.max_new_tokens))

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

    def _keep(self, question: Question, reply: Generated) -> None:
        """With the run that was named, or the one being trained."""
        request, training = question.request, self.runs.training
        run = RunDirectory(Path(request.run)) if request.run else training.run if training else None
        if run is not None and question.answer is not None and run.path.is_dir():
            keep_exchange(run, request, reply, question.answer.begun)


def _too_long(device: torch.device, reserve: int = 0) -> OutOfMemory:
    beside = f", of which training keeps {in_words(reserve)}" if reserve else ""
    return OutOfMemory(
        f"out of memory for this answer: {in_words(device_memory(device).free)} are free on {device}{beside}; "
        "begin a new conversation, or ask for a shorter answer"
    )


def _begun(request: Generate, lm: LoadedModel, ids: list[int]) -> str:
    """What of the answer the prompt ends with."""
    if not (request.continue_final_message and request.messages):
        return ""
    content = request.messages[-1].get("content")
    return as_read(content, lm.text().decode(ids)) if isinstance(content, str) else ""
