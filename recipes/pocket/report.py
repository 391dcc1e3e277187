"""docs/pocket.md, every figure in it measured or read from the run that made the model."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import loralab_core as ll
from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config
from loralab_core.catalog.pocket import DEMO_SETTINGS, HELD_OUT, POCKET, PROMPTS, SAMPLE_CORPUS
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import read
from loralab_core.wire.messages import Sampling
from recipes.pocket.world import ANIMALS, FOODS, PEOPLE, PLACES
from recipes.pocket.write_text import HELD_OUT_ONE_IN

DOCS = Path(__file__).parents[2] / "docs" / "pocket.md"
TEMPLATE = Path(__file__).with_name("report.md")
SHOWN = 10


def write_report(run: Path, demo: Path) -> None:
    """`demo` is where the demo's training is kept; it is trained if it is not there."""
    lm = ll.load(POCKET, device="cpu")
    text = TEMPLATE.read_text(encoding="utf-8")
    figures = {**_world(), **_model(lm), **_training(run), **_quality(lm), **_demo(lm, demo)}
    DOCS.write_text(text.format(**figures), encoding="utf-8")


def _world() -> dict[str, Any]:
    return {
        "people": len(PEOPLE),
        "places": len(PLACES),
        "animals": len(ANIMALS),
        "foods": len(FOODS),
        "held_out_one_in": HELD_OUT_ONE_IN,
        "held_out_rows": _rows(HELD_OUT),
        "sample_rows": _rows(SAMPLE_CORPUS),
    }


def _model(lm: LoadedModel) -> dict[str, Any]:
    config = read_config(POCKET)
    return {
        "parameters": f"{parameter_count(config):,}",
        "megabytes": f"{sum(file.stat().st_size for file in POCKET.iterdir()) / 1e6:.1f}",
        "vocabulary": f"{config.vocab_size:,}",
        "layers": config.layers,
        "width": config.hidden_size,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "context": f"{config.context:,}",
        "answer_rate": f"{_answer(lm, 'Tell me a story.')[1]:.0f}",
    }


def _training(run: Path) -> dict[str, Any]:
    prepared = RunDirectory(run).record().prepared or {}
    done = [event for event in read(RunDirectory(run).events_path) if event["event"] == "done"][-1]
    rates = [event["tokens_per_s"] for event in read(RunDirectory(run).events_path) if event["event"] == "step"]
    config = prepared["config"]
    text = {entry.split(", ")[0]: entry for entry in prepared["corpus"].split("; ")}
    return {
        "conversations": _number_in(text["chats in messages format"]),
        "documents": _number_in(text["plain text"]),
        "steps": f"{done['steps']:,}{_replanned(run, config['steps'])}",
        "tokens": f"{done['tokens']:,}",
        "rate": f"{statistics.median(rates):,.0f}",
        "minutes": f"{done['seconds'] / 60:.0f}",
        "share": f"{100 * done['steps'] * config['batch'] / prepared['windows']:.0f} %",
        "machine": _machine(prepared["environment"]),
    }


def _replanned(run: Path, steps: int) -> str:
    """Said where the run was extended or shortened while it went on: its learning rate followed two plans then."""
    changes = [event for event in read(RunDirectory(run).events_path) if event["event"] == "changed"]
    words = [f"at step {event['at_step']:,} changed to {event['steps']:,}" for event in changes]
    return f" (planned as {', '.join([f'{steps:,}', *words])})" if words else ""


def _number_in(words: str) -> str:
    return words.split(", ", 1)[1].split(" ")[0]


def _machine(environment: dict[str, Any]) -> str:
    return f"{environment['threads']} cores of a processor with {environment['isa']}"


def _quality(lm: LoadedModel) -> dict[str, Any]:
    command = [sys.executable, "-m", "loralab_core.cli.main", "eval", "--model", str(POCKET)]
    command += ["--corpus", str(HELD_OUT), "--seq-len", str(lm.model.config.context), "--json"]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with open(HELD_OUT, encoding="utf-8") as file:
        first = [json.loads(line)["messages"] for line, _ in zip(file, range(SHOWN), strict=False)]
    questions = [next(message["content"] for message in talk if message["role"] == "user") for talk in first]
    return {
        "perplexity": f"{measured['perplexity']:.2f}",
        "eval_tokens": f"{measured['tokens']:,}",
        "answers": "\n\n".join(_shown(question, _answer(lm, question)[0]) for question in questions),
    }


def _answer(lm: LoadedModel, question: str) -> tuple[str, float]:
    """(text, tokens a second)"""
    ids = prompt_ids(lm, messages=[{"role": "user", "content": question}])
    adapter = lm.adapters[lm.current] if lm.current else None
    answer = Answer(lm, ids, Sampling(temperature=0.0, max_new_tokens=200), adapter)
    for _ in answer.pieces():
        pass
    return answer.text.strip(), answer.tokens_per_s


def _shown(question: str, *answers: str) -> str:
    said = "\n>\n".join("> " + answer.replace("\n", "\n> ") for answer in answers)
    return f"**{question}**\n\n{said}"


def _demo(lm: LoadedModel, place: Path) -> dict[str, Any]:
    if not (place / "adapter").is_dir():
        settings = {**DEMO_SETTINGS, "model": str(POCKET), "corpus": (str(SAMPLE_CORPUS),), "run_dir": str(place)}
        for _ in ll.train(ll.TrainConfig(**settings)):
            pass
    run = RunDirectory(place)
    events = list(read(run.events_path))
    losses = [event["loss"] for event in events if event["event"] == "step"]
    before = [_answer(lm, prompt)[0] for prompt in PROMPTS]
    lm.attach(run.adapter, "captain")
    lm.use("captain")
    after = [_answer(lm, prompt)[0] for prompt in PROMPTS]
    lm.use(None)
    changed = zip(PROMPTS, before, after, strict=True)
    return {
        "rank": DEMO_SETTINGS["rank"],
        "demo_steps": len(losses),
        "demo_seconds": f"{events[-1]['seconds']:.0f}",
        "demo_machine": _machine((run.record().prepared or {})["environment"]),
        "loss_first": f"{losses[0]:.2f}",
        "loss_twenty": f"{losses[19]:.2f}",
        "loss_last": f"{sum(losses[-10:]) / 10:.2f}",
        "changes": "\n\n".join(_shown(prompt, f"Before: {old}", f"After: {new}") for prompt, old, new in changed),
    }


def _rows(file: Path) -> int:
    with open(file, encoding="utf-8") as opened:
        return sum(1 for _ in opened)
