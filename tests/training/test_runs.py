"""A run from beginning to end, in this process: what it leaves behind, that it repeats, and that it goes on."""

import json
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, live, read
from loralab_core.training import Training, resume
from tests.training.small_runs import adapter_bytes, losses, small, stopped_after

WEIGHTS = "model.safetensors"


def train(fixtures: Path, **changes: Any) -> list[Event]:
    return list(ll.train(small(fixtures, **changes)))


@cache
def undisturbed(fixtures: Path) -> list[Event]:
    """Of a run as it is without changes."""
    return train(fixtures)


def run_of(events: list[Event]) -> RunDirectory:
    return RunDirectory(Path(events[-1]["run"]))


def test_the_loss_falls_and_everything_is_written_down(fixtures_dir: Path) -> None:
    events = train(fixtures_dir, steps=30, val=0.1)
    run, done = run_of(events), events[-1]
    assert done["event"] == "done" and done["steps"] == 30 and 0.95 < done["tokens"] / (30 * 4 * 64) <= 1
    validation = losses(events, "eval")
    assert validation[-1] < validation[0] - 0.3
    logged = [event for event in events if "seq" in event]
    assert logged == read(run.events_path)
    assert [event["seq"] for event in logged] == list(range(1, len(logged) + 1))
    assert not run.owner_path.exists()
    steps = [event for event in events if event["event"] == "step"]
    windows = next(event["windows"] for event in events if event["event"] == "prepared")
    assert [event["epoch"] for event in steps] == [pytest.approx(4 * event["step"] / windows) for event in steps]
    prepared = run.record().prepared
    assert prepared is not None
    assert prepared["environment"]["threads"] == 1 and prepared["config"]["micro_batch"] == 4


def test_seeded_runs_repeat_bit_for_bit(fixtures_dir: Path) -> None:
    one, two, other = (train(fixtures_dir, dropout=0.1, seed=seed) for seed in (1, 1, 2))
    assert adapter_bytes(one[-1]) == adapter_bytes(two[-1]) != adapter_bytes(other[-1])
    assert losses(one) == losses(two)


def test_accumulation_and_recomputation_do_not_change_what_is_learned(fixtures_dir: Path) -> None:
    whole = losses(train(fixtures_dir, micro_batch=4))
    assert losses(train(fixtures_dir, micro_batch=1)) == pytest.approx(whole, rel=1e-4)
    assert losses(train(fixtures_dir, checkpoint_activations=True)) == pytest.approx(whole, rel=1e-6)


def test_recomputation_draws_the_same_dropout(fixtures_dir: Path) -> None:
    plain, again = (losses(train(fixtures_dir, dropout=0.3, checkpoint_activations=choice)) for choice in (False, True))
    assert plain == pytest.approx(again, rel=1e-6)


@pytest.mark.parametrize("base", ["fp32", "fp16", "nf4", "nf4-fitted", "int4", "int8"])
def test_a_stopped_run_goes_on_to_the_same_bytes(base: str, fixtures_dir: Path) -> None:
    config = small(fixtures_dir, dropout=0.1, micro_batch=2, base=base)
    undisturbed = list(ll.train(config))
    lm, run = load(config.model, base, "cpu"), create_run(config)
    for step in (3, 8):
        last = stopped_after(lm, run, step)
        assert last["event"] == "stopped" and last["steps"] == step and last["why"] == "stopped by the test"
    events = list(resume(run))
    assert events[-1]["event"] == "done"
    assert adapter_bytes(events[-1]) == adapter_bytes(undisturbed[-1])
    steps = [event["step"] for event in live(read(run.events_path)) if event["event"] == "step"]
    assert steps == list(range(1, 13))


@pytest.mark.parametrize("base", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adamw8bit", "adafactor"])
def test_a_stopped_run_of_all_weights_goes_on_with_its_optimisers_state(
    optimizer: str, base: str, fixtures_dir: Path
) -> None:
    """Among the weights are some that are large enough for moments in 8 bits."""
    config = small(fixtures_dir, mode="full", optimizer=optimizer, base=base, steps=8, save_every=3, lr=1e-3)
    undisturbed = list(ll.train(config))
    run = create_run(config)
    stopped_after(load(config.model, base, "cpu"), run, 4)
    list(resume(run))
    assert (run.model / WEIGHTS).read_bytes() == (run_of(undisturbed).model / WEIGHTS).read_bytes()
    assert losses(undisturbed)[-1] < losses(undisturbed)[0]


def test_the_state_of_another_optimiser_is_refused_in_one_sentence(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, optimizer="adafactor", steps=4, save_every=2)
    run = create_run(config)
    stopped_after(load(config.model, "fp32", "cpu"), run, 2)
    record = run.record_path.read_text()
    run.record_path.write_text(record.replace('"adafactor"', '"adamw"'))
    with pytest.raises(BadInput, match="optimizer.safetensors holds the state of another optimiser"):
        list(resume(run))


def test_an_adapter_to_start_from_gives_its_shape_and_is_needed_once(fixtures_dir: Path) -> None:
    first = Path(train(fixtures_dir, steps=2, targets="attention")[-1]["adapter"])
    config = small(fixtures_dir, from_adapter=str(first), rank=16, steps=4)
    run = create_run(config)
    stopped_after(load(config.model, "fp32", "cpu"), run, 2)
    prepared = run.record().prepared
    assert prepared is not None
    assert prepared["config"]["rank"] == 4 and prepared["config"]["targets"] == "k_proj,o_proj,q_proj,v_proj"
    assert any("rank 4" in note for note in read(run.events_path)[0]["notes"])
    shutil.rmtree(first)
    assert list(resume(run))[-1]["event"] == "done"


def test_a_pause_is_no_part_of_the_time_left(fixtures_dir: Path) -> None:
    """However slow the computer: each step's own time is the measure of what is left, and the pause is many of them."""
    config = small(fixtures_dir, steps=6)
    training = Training(create_run(config), load(config.model, "fp32", "cpu"))
    slowest, before, seen = 0.0, time.monotonic(), 0
    for event in training.events():
        if event["event"] != "step":
            continue
        slowest = max(slowest, time.monotonic() - before)
        if event["step"] == 3:
            training.note("paused")
            time.sleep(1 + 30 * slowest)
            training.note("continued")
        elif event["step"] > 3:
            assert event["eta_s"] <= (6 - event["step"]) * 1.5 * slowest
            seen += 1
        before = time.monotonic()
    assert seen == 3


def test_a_generator_that_is_dropped_loses_one_interval_at_most(fixtures_dir: Path) -> None:
    config = small(fixtures_dir)
    run, lm = create_run(config), load(config.model, "fp32", "cpu")
    generator = Training(run, lm).events()
    for event in generator:
        if event["event"] == "step" and event["step"] == 9:
            break
    generator.close()
    events = list(resume(run))
    assert next(event for event in events if event["event"] == "resumed")["step"] == 5
    assert adapter_bytes(events[-1]) == adapter_bytes(undisturbed(fixtures_dir)[-1])


def test_a_finished_run_is_extended_as_if_it_had_been_asked_for_more(fixtures_dir: Path) -> None:
    short = train(fixtures_dir, steps=6)
    events = list(resume(run_of(short), steps=12))
    assert adapter_bytes(events[-1]) == adapter_bytes(undisturbed(fixtures_dir)[-1])
    assert next(event for event in events if event["event"] == "changed") | {"at_step": 6, "steps": 12} == next(
        event for event in events if event["event"] == "changed"
    )
    with pytest.raises(BadInput, match="step 12"):
        list(resume(run_of(short), steps=3))


def test_checkpoints_are_retired_but_the_best_stays(fixtures_dir: Path) -> None:
    run = run_of(train(fixtures_dir, steps=12, save_every=2, keep=2, lr=5e-2))
    scores = {event["step"]: event["loss"] for event in read(run.events_path) if event["event"] == "eval"}
    best = min((step for step in scores if step), key=scores.__getitem__)
    kept = {int(path.name.removeprefix("step-")) for path in run.checkpoints.iterdir()}
    assert kept == {10, 12, best}


def test_training_goes_on_from_an_existing_adapter(fixtures_dir: Path) -> None:
    first = train(fixtures_dir, rank=2, alpha=4.0)
    second = train(fixtures_dir, from_adapter=first[-1]["adapter"])
    assert losses(second, "eval")[0] == pytest.approx(losses(first, "eval")[-1], rel=1e-6)
    settings = json.loads((Path(second[-1]["adapter"]) / "adapter_config.json").read_text())
    assert settings["r"] == 2


def test_all_weights_can_be_trained_and_the_result_opens_as_a_model(fixtures_dir: Path) -> None:
    events = train(fixtures_dir, mode="full", lr=2e-3, save_every=12, val=0.1)
    assert losses(events, "eval")[-1] < losses(events, "eval")[0] - 0.2
    from transformers import AutoModelForCausalLM

    directory = events[-1]["model"]
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)(ids).logits
        ours = load(directory, "fp32", "cpu").model(ids)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_stopped_full_run_goes_on_to_the_same_bytes(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, mode="full", lr=1e-3)
    undisturbed = list(ll.train(config))
    run = create_run(config)
    assert stopped_after(load(config.model, "fp32", "cpu"), run, 7)["event"] == "stopped"
    events = list(resume(run))
    whole = [(Path(last["model"]) / "model.safetensors").read_bytes() for last in (undisturbed[-1], events[-1])]
    assert whole[0] == whole[1]


def test_a_window_longer_than_the_context_is_refused(fixtures_dir: Path) -> None:
    events: list[Event] = []
    with pytest.raises(BadInput, match="512 tokens"):
        for event in ll.train(small(fixtures_dir, seq_len=1024)):
            events.append(event)
    assert events[-1]["event"] == "failed" and "512 tokens" in events[-1]["why"]
