"""Watched prompts: answered by the base and at every checkpoint, once each, and without a trace in what is learned."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, live, read
from loralab_core.training import TICK, Training, resume
from tests.training.small_runs import adapter_bytes, small, stopped_after

PROMPTS = ("Once upon a time", "Mr. Gisburn, that is,")
STEPS = (0, 5, 10, 12)  # of small runs: the beginning and the checkpoints


def watched(fixtures: Path, **changes: Any) -> list[Event]:
    return list(ll.train(small(fixtures, **{"prompts": PROMPTS, "prompt_tokens": 12} | changes)))


def samples(events: list[Event]) -> list[Event]:
    return [event for event in events if event["event"] == "sample"]


def places(events: list[Event]) -> list[tuple[int, int]]:
    return [(event["step"], event["index"]) for event in samples(events)]


def test_the_base_and_every_checkpoint_answer(fixtures_dir: Path) -> None:
    events = watched(fixtures_dir, prompt_tokens=40, lr=0.02)
    assert places(events) == [(step, index) for step in STEPS for index in (0, 1)]
    kinds = [event["event"] for event in events]
    assert kinds[-4:] == ["checkpoint", "sample", "sample", "done"] and kinds.index("sample") < kinds.index("step")
    lm = load(small(fixtures_dir).model, "fp32", "cpu")
    for event, adapter in ((events[kinds.index("sample")], None), (events[-3], events[-1]["adapter"])):
        if adapter:
            lm.attach(adapter)
            lm.use("default")
        assert event["prompt"] == PROMPTS[0] and event["seconds"] > 0
        assert event["text"] == "".join(ll.generate(lm, PROMPTS[0], max_new_tokens=40)) != ""
    assert events[-3]["text"] != events[kinds.index("sample")]["text"]


def test_they_leave_no_trace_in_the_result(fixtures_dir: Path) -> None:
    settings: dict[str, Any] = {"dropout": 0.1, "micro_batch": 2}
    without = watched(fixtures_dir, prompts=(), **settings)
    assert not samples(without)
    assert adapter_bytes(watched(fixtures_dir, **settings)[-1]) == adapter_bytes(without[-1])


def test_no_step_is_answered_twice_however_often_the_run_is_left(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, prompts=PROMPTS, prompt_tokens=12)
    run, lm = create_run(config), load(config.model, "fp32", "cpu")
    leave_after(run, Training(run, lm), (0, 0))
    leave_after(run, Training(run, lm), (5, 0))
    leave_after(run, Training(run, lm), (10, 1))
    assert list(resume(run))[-1]["event"] == "done"
    assert places(read(run.events_path)) == [(step, index) for step in STEPS for index in (0, 1)]


def test_what_was_said_above_the_checkpoint_resumed_from_is_said_again(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, prompts=PROMPTS, prompt_tokens=4)
    run = create_run(config)
    leave_after(run, Training(run, load(config.model, "fp32", "cpu")), (10, 1))
    shutil.rmtree(run.checkpoints / "step-000010")  # as where the disk refused it
    list(resume(run))
    assert places(live(read(run.events_path))) == [(step, index) for step in STEPS for index in (0, 1)]


def leave_after(run: RunDirectory, training: Training, place: tuple[int, int]) -> None:
    """Drop the generator behind a sample, as a crash would."""
    events = training.events()
    for event in events:
        if event["event"] == "sample" and (event["step"], event["index"]) == place:
            break
    events.close()


def test_samples_above_the_step_resumed_from_are_void() -> None:
    events: list[Event] = [{"event": "sample", "step": step, "index": 0} for step in (0, 5, 10)]
    assert places(live([*events, {"event": "resumed", "step": 5}])) == [(0, 0), (5, 0)]


def test_others_may_have_their_turn_between_two_tokens(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, prompts=PROMPTS[:1], prompt_tokens=12, val=0)
    training, ticks = Training(create_run(config), load(config.model, "fp32", "cpu")), 0
    for event in training.events():
        ticks = ticks + 1 if event is TICK else 0 if event["event"] == "prepared" else ticks
        if event["event"] == "sample":
            training.stop("stopped by the test")
            break
    assert ticks >= 12


def test_they_are_no_part_of_what_a_step_takes(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, prompts=PROMPTS * 2, prompt_tokens=100)
    stopped_after(load(config.model, "fp32", "cpu"), run := create_run(config), 6)
    events = read(run.events_path)
    spent = sum(event["seconds"] for event in samples(events) if event["step"] == 5)
    left = {event["step"]: event["eta_s"] for event in events if event["event"] == "step"}
    assert left[6] < max(2 * left[5], 0.3 * spent)  # a tenth of it, for each of six steps, would be more


def test_a_pause_while_they_are_answered_does_not_turn_time_back(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, prompts=PROMPTS, prompt_tokens=50)
    training, left = Training(create_run(config), load(config.model, "fp32", "cpu")), []
    for event in training.events():
        left += [event["eta_s"]] if event["event"] == "step" else []
        if event["event"] == "sample":
            training.note("paused")
            training.note("continued")
    assert all(seconds > 0 for seconds in left[:-1])


@pytest.fixture
def with_template(fixtures_dir: Path, tmp_path: Path) -> str:
    """The small model with a chat template, which says nothing of what it was taught."""
    model = tmp_path / "model"
    shutil.copytree(fixtures_dir / "models" / "stories260K", model, copy_function=shutil.copyfile)
    model.chmod(0o755)
    shutil.copyfile(fixtures_dir / "chat_templates" / "llama3.jinja", model / "chat_template.jinja")
    return str(model)


@pytest.mark.parametrize(
    ("corpus", "form"), [("the-verdict.txt", "text"), ("instruction-data.alpaca-format.json", "chat")]
)
def test_they_are_asked_as_the_corpus_is_written(
    corpus: str, form: str, with_template: str, fixtures_dir: Path
) -> None:
    settings = {"model": with_template, "corpus": (str(fixtures_dir / "corpora" / corpus),), "steps": 1, "val": 0}
    events = watched(fixtures_dir, **settings, seq_len=128)
    prepared = RunDirectory(Path(events[-1]["run"])).record().prepared
    assert prepared and prepared["prompts_as"] == form
    lm = load(with_template, "fp32", "cpu")
    prompt = [{"role": "user", "content": PROMPTS[0]}] if form == "chat" else PROMPTS[0]
    assert samples(events)[0]["text"] == "".join(ll.generate(lm, prompt, max_new_tokens=12))


def test_a_prompt_that_does_not_fit_is_refused_before_the_first_step(fixtures_dir: Path) -> None:
    with pytest.raises(BadInput, match=r"the prompt 'word word .*…' cannot be answered: .* 512"):
        watched(fixtures_dir, prompts=("word " * 600,))
