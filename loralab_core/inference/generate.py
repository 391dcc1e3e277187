"""One answer, token by token: whoever drives it may do other work between two tokens."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.inference.reader import Reader
from loralab_core.inference.sampling import Sampler
from loralab_core.inference.stopping import StopStrings, stop_ids
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops import Compute
from loralab_core.text.system_turn import render_question

if TYPE_CHECKING:
    from loralab_core.wire.sampling import Sampling

Finish = Literal["eos", "stop", "length", "context", "cancelled"]


def prompt_ids(
    lm: LoadedModel,
    *,
    messages: Sequence[dict[str, Any]] | None = None,
    prompt: str | None = None,
    continue_final_message: bool = False,
    tools: Sequence[Any] | None = None,
) -> list[int]:
    """Token ids of a conversation (rendered by the model's template) or of a text to continue. Raises BadInput.

    `continue_final_message`: the answer goes on with the conversation's last message. `tools`: JSON schemas of what
    the model may call in the conversation.
    """
    if (messages is None) == (prompt is None):
        raise BadInput("give either messages or a prompt")
    tokenizer = lm.text()
    if messages is not None:
        ids = tokenizer.encode_rendered(render_question(tokenizer, messages, continue_final_message, tools)).ids
    else:
        # a BOS is wanted before the text, an EOS behind it would end the text that is to be continued
        ids = [*tokenizer.prefix_ids, *tokenizer.encode(prompt or "", special=False)]
    context = lm.model.config.context
    if len(ids) >= context:
        raise BadInput(
            f"the prompt has {len(ids)} tokens and this model reads {context}, so there is no room for an answer; "
            "shorten it or begin a new conversation"
        )
    if not ids:
        raise BadInput("the prompt is empty and this model has no token to begin with; type something")
    return ids


def as_read(begun: str, prompt: str) -> str:
    """`begun` as `prompt` ends with it: many templates trim, and the model then writes the white space itself."""
    return next((words for words in (begun, begun.rstrip()) if prompt.endswith(words)), begun.strip())


class Answer:
    """An answer in the making. `pieces()` yields text (often empty) after each token; the fields tell how it stands."""

    def __init__(
        self,
        lm: LoadedModel,
        ids: Sequence[int],
        sampling: "Sampling",
        adapter: Adapter | None = None,
        *,
        continues: bool = False,
        begun: str = "",
        compute: Compute | None = None,
    ):
        """`adapter` must not change while the answer is made: pass a snapshot of one that is being trained.

        `continues`: the prompt is a text that goes on, so the space between the two belongs to the answer.
        `begun`: what of the answer the prompt ends with; `text` begins with it. `compute`: of products with quantised
        weights, where not as the model was opened.
        Raises BadInput for a setting of `sampling` that cannot be.
        """
        tokenizer = lm.text()
        self.lm, self.ids, self.sampling, self.adapter = lm, list(ids), sampling, adapter
        self.compute = compute
        self.tokens: list[int] = []
        self.begun = self.text = begun
        self.ended = sampling.max_new_tokens == 0
        self.finish: Finish = "length" if self.ended else "cancelled"  # which it stays until it has ended
        self.seconds = 0.0  # spent on the tokens behind the first: reading the prompt and pauses between are excluded
        self.timed = 0  # of those
        self._sampler, self._stream = Sampler(sampling, self.ids), tokenizer.stream()
        self._stops, self._stop_ids = StopStrings(sampling.stop), stop_ids(tokenizer, sampling.stop)
        if continues:
            self._stream.follow(self.ids)

    @property
    def tokens_per_s(self) -> float:
        return self.timed / self.seconds if self.seconds > 0 else 0.0

    def pieces(self) -> Iterator[str]:
        """The first `next` reads the prompt and draws the first token; each further one draws one more."""
        reader = Reader(self.lm, [self.ids], self.adapter, self.compute)
        while not self.ended:
            began, first = time.perf_counter(), not self.tokens
            piece = self.take(reader.logits()[0])
            if not first:
                self.seconds, self.timed = self.seconds + time.perf_counter() - began, self.timed + 1
            reader.add(self.tokens[-1:])
            yield piece

    def take(self, logits: Tensor) -> str:
        """Draw one token from logits [vocab]; the text that became certain with it, all of it where it is the last."""
        token = self._sampler.draw(logits)
        end = self._end_by(token)
        piece = ""
        if end is None:
            self.tokens.append(token)
            piece = self._stops.push(self._stream.push(token))
            end = "stop" if self._stops.found else self._full()
        if end is not None:
            piece += self._stops.push(self._stream.flush())  # the last bytes may complete a stop
            self.finish, self.ended = "stop" if self._stops.found else end, True
            piece += self._stops.flush()
        self.text += piece
        return piece

    def _end_by(self, token: int) -> Finish | None:
        if token in self.lm.text().eos_ids:
            return "eos"
        return "stop" if token in self._stop_ids else None

    def _full(self) -> Finish | None:
        if len(self.tokens) >= self.sampling.max_new_tokens:
            return "length"
        read = len(self.ids) + len(self.tokens) - 1  # nothing is drawn behind the last token unless that is read too
        return "context" if read >= self.lm.model.config.context else None


def generate(
    lm: LoadedModel,
    prompt: str | Sequence[dict[str, Any]],
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    stop: Sequence[str] = (),
    seed: int = 0,
    max_new_tokens: int = 256,
) -> Iterator[str]:
    """Text pieces of an answer by the model as it is switched now (`lm.use`). `prompt`: a text or chat messages."""
    chat = None if isinstance(prompt, str) else prompt
    ids = prompt_ids(lm, messages=chat, prompt=prompt if isinstance(prompt, str) else None)
    from loralab_core.wire.sampling import Sampling

    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop),
        seed=seed,
        max_new_tokens=max_new_tokens,
    )
    adapter = lm.adapters[lm.current] if lm.current is not None else None
    answer = Answer(lm, ids, sampling, adapter, continues=chat is None)
    yield from (piece for piece in answer.pieces() if piece)
