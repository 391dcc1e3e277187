"""Answers whose tokens are recorded and replayed are those computed as they are written."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import loralab_core as ll
from loralab_core.inference.batch import draw_together
from loralab_core.inference.captured import AS_WRITTEN
from loralab_core.inference.generate import Answer
from loralab_core.inference.kv_cache import STEP, KVCache
from loralab_core.inference.reader import Reader
from loralab_core.lora import Adapter, LoadedModel, create_adapter
from loralab_core.models import load_decoder
from loralab_core.ops.graphs import CannotRecord, Recorder, Replay
from loralab_core.runs.config import TrainConfig
from loralab_core.text.dataset import prepare
from loralab_core.text.packing import pack
from loralab_core.training.trainer import Trainer
from loralab_core.wire.messages import Sampling
from tests.cuda.exact import poisoned
from tests.models.families import FAMILIES, ids_for, saved
from tests.recording import RecorderOnCpu

CPU = torch.device("cpu")
CASES = [(family, number) for family, makers in FAMILIES.items() for number in range(len(makers))]
TURNS_OVER = {("phi3", 2)}  # longrope's border lies within the answer: all of it is read anew there
PROMPT, SAID = 11, 30  # tokens; together longer than the windows

Use = Callable[[Recorder | None], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """What records from now on; None computes layer by layer, as a GPU without graphs does."""
    monkeypatch.setattr("loralab_core.inference.reader.can_decode", lambda *_: False)

    def switch(record: Recorder | None) -> None:
        monkeypatch.setattr("loralab_core.inference.reader.recorder", lambda _: record)

    switch(None)
    return switch


class Refusing(RecorderOnCpu):
    def __call__(self, work: Any) -> Replay:
        raise CannotRecord("this box records nothing")


def opened(directory: Path) -> LoadedModel:
    return LoadedModel(load_decoder(directory, "fp32", CPU), None, directory, "fp32", CPU)


def adapted(lm: LoadedModel, seed: int = 0) -> Adapter:
    adapter = create_adapter(lm.model, rank=3, alpha=6, seed=seed)
    for number, lora in enumerate(adapter.layers.values()):
        lora.b.normal_(std=0.1, generator=torch.Generator().manual_seed(100 * seed + number))
    return adapter


def greedy(reader: Reader, count: int, rows: int = 1) -> tuple[list[list[int]], Tensor]:
    """Tokens of each row, and the logits [count, rows, vocab] they were drawn from."""
    seen = []
    for _ in range(count):
        seen.append(reader.logits())
        reader.add(seen[-1].argmax(-1).tolist())
    found = torch.stack(seen)
    return found.argmax(-1).t().tolist(), found


def same(ours: tuple[list[list[int]], Tensor], theirs: tuple[list[list[int]], Tensor]) -> None:
    assert ours[0] == theirs[0]
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-4 * float(theirs[1].abs().max()))


def prompts_of(*times: int) -> list[list[int]]:
    return [ids_for(97, 1, time)[0].tolist() for time in times]


def said(lm: LoadedModel, ids: Sequence[int], adapter: Adapter | None = None, tokens: int = 60) -> Answer:
    answer = Answer(lm, ids, Sampling(max_new_tokens=tokens), adapter)
    for _ in answer.pieces():
        pass
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_every_family(case: tuple[str, int], use: Use, tmp_path: Path) -> None:
    """Windows of 9, learned positions, norms of queries and keys, soft caps, shared key heads, two ropes."""
    lm = opened(saved(*case, tmp_path)[0])
    expected = greedy(Reader(lm, prompts_of(PROMPT)), SAID)
    recorder = RecorderOnCpu()
    use(recorder)
    same(greedy(Reader(lm, prompts_of(PROMPT)), SAID), expected)
    if lm.model.config.experts:
        assert recorder.recorded == 0
    else:
        assert recorder.recorded == (2 if case in TURNS_OVER else 1)
        assert recorder.replayed >= SAID - 1 - AS_WRITTEN - (1 + AS_WRITTEN) * (case in TURNS_OVER)


@pytest.mark.parametrize("base", ["fp32", "nf4", "int8"])
@pytest.mark.parametrize("compute", [None, "w4a8"])
@pytest.mark.parametrize("adapter", [False, True], ids=["base", "adapter"])
def test_what_a_model_says(base: str, compute: Any, adapter: bool, use: Use, fixtures_dir: Path) -> None:
    lm = ll.load(fixtures_dir / "models" / "stories260K", base, "cpu")
    how = (adapted(lm) if adapter else None, compute)
    expected = greedy(Reader(lm, [[1, 403, 407]], *how), 60)
    recorder = RecorderOnCpu()
    use(recorder)
    same(greedy(Reader(lm, [[1, 403, 407]], *how), 60), expected)
    assert (recorder.recorded, recorder.replayed) == (1, 59 - AS_WRITTEN)


def test_in_16_bits(use: Use, fixtures_dir: Path) -> None:
    """The same tokens are read: rounding may choose others."""
    lm = ll.load(fixtures_dir / "models" / "stories260K", "bf16", "cpu")
    adapter, ids = adapted(lm), [1, 403, *range(300, 330)]

    def read() -> Tensor:
        reader, found = Reader(lm, [ids[:2]], adapter), []
        for token in ids[2:]:
            found.append(reader.logits())
            reader.add([token])
        return torch.cat(found)

    expected = read()
    use(recorder := RecorderOnCpu())
    found = read()
    assert recorder.replayed > 20 and found.dtype == torch.float32
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_text_that_streams(lm: LoadedModel, use: Use) -> None:
    ids = lm.text().encode("Once upon a time, there was a little")
    expected = said(lm, ids)
    use(recorder := RecorderOnCpu())
    found = said(lm, ids)
    assert (found.text, found.tokens, found.finish) == (expected.text, expected.tokens, expected.finish)
    assert recorder.replayed > 40


@pytest.mark.parametrize("family", ["llama", "mistral", "opt", "gemma2"])
def test_rows_of_any_length(family: str, use: Use, tmp_path: Path) -> None:
    lm, prompts = opened(saved(family, 0, tmp_path)[0]), prompts_of(3, 29, 11)
    expected = greedy(Reader(lm, prompts), SAID)
    use(recorder := RecorderOnCpu())
    same(greedy(Reader(lm, prompts), SAID), expected)
    assert recorder.recorded == 1


def test_rows_that_end_leave_the_others(lm: LoadedModel, use: Use) -> None:
    prompts = [lm.text().encode(text) for text in ("Once upon a time", "The", "Tom and Sam went to the park.")]
    lengths = (12, 60, 35)

    def together() -> list[list[int]]:
        answers = [Answer(lm, ids, Sampling(max_new_tokens=n)) for ids, n in zip(prompts, lengths, strict=True)]
        list(draw_together(answers))
        return [answer.tokens for answer in answers]

    expected = together()
    use(recorder := RecorderOnCpu())
    assert together() == expected
    assert recorder.recorded == 3


def test_the_cache_may_move_to_larger_buffers(use: Use, tmp_path: Path) -> None:
    lm, count = opened(saved("llama", 0, tmp_path)[0]), STEP + 40
    expected = greedy(Reader(lm, prompts_of(PROMPT)), count)
    use(recorder := RecorderOnCpu())
    same(greedy(Reader(lm, prompts_of(PROMPT)), count), expected)
    assert recorder.recorded == 2


def turns(*readers: Reader, count: int) -> list[list[int]]:
    """Greedy tokens of answers that are drawn in turns."""
    found: list[list[int]] = [[] for _ in readers]
    for _ in range(count):
        for reader, tokens in zip(readers, found, strict=True):
            tokens.append(int(reader.logits().argmax()))
            reader.add(tokens[-1:])
    return found


def test_answers_drawn_in_turns_share_nothing(use: Use, fixtures_dir: Path) -> None:
    lm = ll.load(fixtures_dir / "models" / "stories260K", "nf4", "cpu")
    asked: list[tuple[list[int], Adapter | None]] = [
        *(([1, 403], None), ([1, 403], adapted(lm, 1)), ([1, 403], adapted(lm, 2)), ([1, 410, 420], None))
    ]

    def readers() -> Iterator[Reader]:
        return (Reader(lm, [ids], adapter) for ids, adapter in asked)

    expected = [turns(reader, count=30)[0] for reader in readers()]
    assert len({tuple(tokens) for tokens in expected}) == 4
    use(recorder := RecorderOnCpu())
    assert turns(*readers(), count=30) == expected
    assert recorder.recorded == 4


def test_an_answer_between_steps_of_training(use: Use, fixtures_dir: Path, tmp_path: Path) -> None:
    """It goes on with the adapter it began with, and the training with what it was doing."""
    lm = ll.load(fixtures_dir / "models" / "stories260K", "nf4", "cpu")
    corpus = str(fixtures_dir / "corpora" / "the-verdict.txt")
    data = prepare([corpus], lm.text(), seq_len=128, val=0.0, cache=tmp_path / "cache")
    config = TrainConfig(model="m", corpus=("c",), batch=2, lr=2e-2, schedule="constant")

    def trainer() -> Trainer:
        made = Trainer(lm, config, pack(data.train, 128, True), 100, adapted(lm, 1))
        made.passes.record = RecorderOnCpu()
        return made

    def losses(training: Trainer) -> float:
        return list(training.run_step())[-1].loss  # type: ignore[union-attr]

    alone = trainer()
    snapshot, expected_losses = alone.adapter.snapshot(), [losses(alone) for _ in range(20)]  # type: ignore[union-attr]
    expected = turns(Reader(lm, [[1, 403]], snapshot), count=20)[0]
    use(recorder := RecorderOnCpu())
    training, found, found_losses = trainer(), [], []
    reader = Reader(lm, [[1, 403]], training.adapter.snapshot())  # type: ignore[union-attr]
    for _ in range(20):
        found += turns(reader, count=1)[0]
        found_losses.append(losses(training))
    assert (found, found_losses) == (expected, expected_losses)
    assert recorder.replayed == 19 - AS_WRITTEN
    assert turns(Reader(lm, [[1, 403]], training.adapter), count=20)[0] != expected, "training changes what is said"


def test_the_end_of_the_context(lm: LoadedModel, use: Use) -> None:
    ids = [400] * (lm.model.config.context - 20)
    expected = said(lm, ids)
    use(recorder := RecorderOnCpu())
    found = said(lm, ids)
    assert found.finish == "context" and found.tokens == expected.tokens
    assert recorder.replayed == 20 - AS_WRITTEN


def test_what_cannot_be_recorded_is_computed_as_it_is_written(lm: LoadedModel, use: Use) -> None:
    ids = lm.text().encode("Once upon a time")
    expected = greedy(Reader(lm, [ids]), SAID)
    use(Refusing())
    reader = Reader(lm, [ids])
    same(greedy(reader, SAID), expected)
    assert reader.trouble == "this box records nothing"


def test_a_short_answer_is_not_worth_a_recording(lm: LoadedModel, use: Use) -> None:
    use(recorder := RecorderOnCpu())
    greedy(Reader(lm, [[1, 400]]), 1 + AS_WRITTEN)
    assert recorder.recorded == 0
    greedy(Reader(lm, [[1, 400]]), 2 + AS_WRITTEN)
    assert recorder.recorded == 1


def test_who_asks_for_no_graph_gets_none(lm: LoadedModel, use: Use) -> None:
    use(recorder := RecorderOnCpu())
    greedy(Reader(lm, [[1, 400]], capture=False), SAID)
    assert recorder.recorded == 0


def test_logits_stay_what_they_were_when_more_are_drawn(lm: LoadedModel, use: Use) -> None:
    use(RecorderOnCpu())
    reader = Reader(lm, [[1, 400]])
    greedy(reader, 10)
    earlier = reader.logits()
    before = earlier.clone()
    reader.add([400])
    greedy(reader, 3)
    assert torch.equal(earlier, before)


def test_buffers_hold_numbers_where_nothing_is_remembered(lm: LoadedModel) -> None:
    """Attention looks at all of the buffers: 0 · NaN would be NaN."""
    cache = KVCache(lm.model.config, lm.model.dtype, lm.model.device)
    with poisoned():
        cache.reserve(10)
        cache.reserve(cache.capacity + 1)
    for layer in range(lm.model.config.layers):
        assert all(not buffer.any() for buffer in cache.buffers(layer))
