"""One answer, token by token: whoever drives it may do other work between two tokens."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch

from loralab_core.errors import BadInput
from loralab_core.inference.kv_cache import KVCache
from loralab_core.inference.sampling import Sampler
from loralab_core.inference.stopping import StopStrings
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.text.system_turn import render_question
from loralab_core.wire.messages import Sampling

Finish = Literal["eos", "stop", "length", "context", "cancelled"]


def prompt_ids(
    lm: LoadedModel,
    *,
    messages: Sequence[dict[str, Any]] | None = None,
    prompt: str | None = None,
    continue_final_message: bool = False,
) -> list[int]:
    """Token ids of a conversation (rendered by the model's template) or of a text to continue. Raises BadInput.

    `continue_final_message`: the answer goes on with the conversation's last message.
    """
    if (messages is None) == (prompt is None):
        raise BadInput("give either messages or a prompt")
    tokenizer = lm.text()
    if messages is not None:
        ids = tokenizer.encode_rendered(render_question(tokenizer, list(messages), continue_final_message)).ids
    else:
        # a BOS is wanted before the text, an EOS behind it would end the text that is to be continued
        ids = [*tokenizer.prefix_ids, *tokenizer.encode(prompt or "", special=False)]
    context = lm.model.config.context
    if len(ids) >= context:
        raise BadInput(f"the prompt has {len(ids)} tokens, this model reads {context}; shorten it or start anew")
    if not ids:
        raise BadInput("the prompt is empty and this model has no token to begin with; type something")
    return ids


class Answer:
    """An answer in the making. `pieces()` yields text (often empty) after each token; the fields tell how it stands."""

    def __init__(
        self,
        lm: LoadedModel,
        ids: Sequence[int],
        sampling: Sampling,
        adapter: Adapter | None = None,
        *,
        continues: bool = False,
    ):
        """`adapter` must not change while the answer is made: pass a snapshot of one that is being trained.

        `continues`: the prompt is a text that goes on, so the space between the two belongs to the answer.
        """
        self.continues = continues
        self.lm, self.ids, self.sampling, self.adapter = lm, list(ids), sampling, adapter
        self.tokens: list[int] = []
        self.text = ""
        self._stops = StopStrings(sampling.stop)
        self.finish: Finish = "cancelled"
        self.seconds = 0.0  # spent on the tokens behind the first: reading the prompt and pauses between are excluded
        self.timed = 0  # of those

    @property
    def tokens_per_s(self) -> float:
        return self.timed / self.seconds if self.seconds > 0 else 0.0

    def pieces(self) -> Iterator[str]:
        """The first `next` reads the prompt and draws the first token; each further one draws one more."""
        model, tokenizer = self.lm.model, self.lm.text()
        cache = KVCache(model.config, model.dtype, model.device)
        sampler, stream = Sampler(self.sampling, self.ids), tokenizer.stream()
        if self.continues:
            stream.follow(self.ids)
        finish = self._full(cache)
        while finish is None:
            began = time.perf_counter()
            token = sampler.draw(self._logits(cache))
            if self.tokens:
                self.seconds, self.timed = self.seconds + time.perf_counter() - began, self.timed + 1
            if token in tokenizer.eos_ids:
                finish = "eos"
                break
            self.tokens.append(token)
            yield self._said(stream.push(token))
            finish = "stop" if self._stops.found else self._full(cache)
        rest = self._said(stream.flush())
        self.finish = "stop" if self._stops.found else finish  # the last bytes may have completed one
        yield rest + self._said("", last=True)

    def _said(self, piece: str, last: bool = False) -> str:
        certain = self._stops.push(piece)
        certain += self._stops.flush() if last else ""
        self.text += certain
        return certain

    def _logits(self, cache: KVCache) -> torch.Tensor:
        """[vocab] behind the last token."""
        cache.make_room_for(len(self.ids) + len(self.tokens))
        ids = torch.tensor([[*self.ids, *self.tokens][cache.length :]], device=self.lm.device)
        with torch.no_grad(), self.lm.using(self.adapter):
            hidden = self.lm.model.hidden(ids, cache=cache)[:, -1:]
            return self.lm.model.logits(hidden)[0, 0]

    def _full(self, cache: KVCache) -> Finish | None:
        if len(self.tokens) >= self.sampling.max_new_tokens:
            return "length"
        return "context" if cache.length >= self.lm.model.config.context else None


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
