"""Talking while training: prompt, pinned to a step, to nobody but who asked, and without a trace in the training."""

import json
import threading
from pathlib import Path

import pytest

from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import read
from loralab_core.wire.client import Client
from loralab_core.wire.messages import Cancel, EngineStatus, Status, Stop
from tests.engine.driving import (
    LONG,
    Heard,
    ask,
    connect,
    detached,
    listen,
    loralab,
    question,
    small_training,
    wait_for_end,
    wait_for_step,
    weights,
)
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("engine")


def fresh(fixtures: Path, prompt: str, tokens: int, adapter: Path | None = None) -> str:
    """What a new process says."""
    model = ["--model", str(fixtures / "models" / "stories260K"), "--base", "fp32", "--device", "cpu"]
    how = ["--greedy", "--max-new-tokens", str(tokens), "--threads", "1", "--json"]
    out, _ = loralab("generate", *model, *how, "--prompt", prompt, *(["--adapter", str(adapter)] if adapter else []))
    text: str = json.loads(out)["text"]
    return text


def stop(client: Client, run: RunDirectory) -> None:
    client.ask(Stop(id=client.next_id(), run=str(run.path)))


def test_answers_are_those_of_their_step_and_training_does_not_notice(fixtures_dir: Path) -> None:
    long_steps = {"batch": 32, "seq_len": 64, "lr": 0.02, "save_every": 1, "set": "keep=100", "steps": 4}
    run = detached(small_training(fixtures_dir, **long_steps))
    with connect() as client:
        wait_for_step(run, 1)
        tuned = ask(client, "Once upon a time", tokens=40)
        base = ask(client, "Once upon a time", speaker="base", tokens=40)
        assert tuned.started and tuned.ended and base.started and base.ended
        step = tuned.started.step
        assert step is not None and step >= 1 and base.started.step is None
        assert "".join(tuned.pieces) == tuned.ended.text and tuned.ended.new_tokens == 40
    wait_for_end(run)
    events = read(run.events_path)
    seconds = [event["time"] for event in events if event["event"] == "step"]
    step_s = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    print(f"first token after {tuned.ended.first_token_s:.3f} s, a step takes {step_s:.3f} s")
    assert tuned.ended.first_token_s < max(0.25, 0.75 * step_s)
    checkpoint = run.checkpoints / f"step-{step:06d}"
    assert tuned.ended.text == fresh(fixtures_dir, "Once upon a time", 40, checkpoint)
    assert base.ended.text == fresh(fixtures_dir, "Once upon a time", 40) != tuned.ended.text
    loralab(*small_training(fixtures_dir, **long_steps))
    assert weights(find_run("last")) == weights(run)
    kept = [json.loads(line) for line in run.chat_path.read_text().splitlines()]
    assert [(one["speaker"], one["prompt"], one["text"], one["step"]) for one in kept] == [
        ("lora", "Once upon a time", tuned.ended.text, step),
        ("base", "Once upon a time", base.ended.text, None),
    ]


def test_questions_at_once_are_answered_to_who_asked(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    prompts = ["The cat", "A big dog", "Lily went", "In the garden"]
    heard: dict[str, Heard] = {}

    def converse(prompts: list[str]) -> None:
        with connect() as client:
            asked = {prompt: question(client, prompt, speaker="base") for prompt in prompts}
            for request in asked.values():
                client.send(request)
            for prompt, request in asked.items():
                heard[prompt] = listen(client, request.id)

    threads = [threading.Thread(target=converse, args=(part,)) for part in (prompts[:2], prompts[2:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with connect() as client:
        for prompt in prompts:
            answer = ask(client, prompt, speaker="base")
            assert answer.ended and heard[prompt].ended
            assert "".join(heard[prompt].pieces) == heard[prompt].ended.text == answer.ended.text != ""
        stop(client, run)


def test_an_answer_is_cancelled_and_the_next_one_begins(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    with connect() as client:
        long, short = question(client, "Once", speaker="base", tokens=400), question(client, "Once", tokens=4)
        client.send(long)
        client.send(short)
        assert len(listen(client, long.id, pieces=3).pieces) == 3
        client.send(Cancel(id=client.next_id(), target=long.id))
        cancelled = listen(client, long.id).ended
        assert cancelled and cancelled.finish == "cancelled" and 3 <= cancelled.new_tokens < 400
        answered = listen(client, short.id).ended
        assert answered and answered.new_tokens == 4
        stop(client, run)


def test_who_leaves_in_the_middle_of_an_answer_takes_the_question_along(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    with connect() as client:
        for _ in range(20):
            with connect() as other:
                other.send(question(other, "Once", tokens=400))
        answered = ask(client, "Once", tokens=4).ended
        assert answered and answered.new_tokens == 4
        status = client.ask(Status(id=client.next_id()))
        assert isinstance(status, EngineStatus) and status.queued == 0 and status.clients == 1
        stop(client, run)


def test_after_the_run_its_result_answers(fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir))
    run = find_run("last")
    with connect() as client:
        request = question(client, "Once upon a time", tokens=24)
        request.run = str(run.path)
        client.send(request)
        ended = listen(client, request.id).ended
    assert ended and ended.text == fresh(fixtures_dir, "Once upon a time", 24, run.adapter)
