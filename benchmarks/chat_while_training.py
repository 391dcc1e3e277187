"""Seconds to the first token of an answer while the same engine trains, and what answering costs the training.

    python benchmarks/chat_while_training.py --model DIR --corpus FILE [--batch 24] [--seq-len 256] [--questions 8]

Starts a real engine below a temporary LORALAB_HOME, trains with steps of about a second, asks the adapter under
training again and again, and prints the client's own stopwatch. Not a test: nothing fails here.
"""

import argparse
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from report import command_line, machine, publish


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--questions", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LORALAB_HOME"] = home
        report = measure(arguments)
    publish(report, arguments.out)


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    from loralab_core.runs.config import TrainConfig, config_to_dict
    from loralab_core.wire.client import Client
    from loralab_core.wire.launch import ensure_engine
    from loralab_core.wire.messages import Shutdown, Stop, Train

    config = TrainConfig(
        model=str(arguments.model.resolve()),
        corpus=(str(arguments.corpus.resolve()),),
        base="fp32",
        device="cpu",
        batch=arguments.batch,
        micro_batch=arguments.batch,
        seq_len=arguments.seq_len,
        steps=100_000,
        val=0.0,
        save_every=100_000,
    )
    with Client(ensure_engine(config.model, "fp32", "cpu")) as client:
        client.send(Train(id=client.next_id(), config=config_to_dict(config)))
        quiet, run = step_seconds(client, 6)
        moments = random.Random(0)
        answers = []
        for _ in range(arguments.questions):
            time.sleep(moments.uniform(1, 2) * quiet)  # people do not ask just when a step ends
            answers.append(ask(client, run))
        client.ask(Stop(id=client.next_id(), run=run))
        client.ask(Shutdown(id=client.next_id()))
    first = [answer[0] for answer in answers]
    return {
        "machine": machine(),
        "step_s": quiet,
        "first_token_s": {"median": statistics.median(first), "max": max(first)},
        "answer_tokens_per_s": statistics.median(answer[1] for answer in answers),
        "steps_pinned": [answer[2] for answer in answers],
    }


def events(client: object) -> Iterator[tuple[dict[str, object], str]]:
    from loralab_core.wire.messages import Failed, RunEvent

    for response in client.responses():  # type: ignore[attr-defined]
        if isinstance(response, Failed):
            raise SystemExit(response.sentence)
        if isinstance(response, RunEvent):
            yield response.event, response.run


def step_seconds(client: object, count: int) -> tuple[float, str]:
    """Median seconds of `count` steps nobody talks during (the first is warm-up), and the run."""
    marks: list[float] = []
    for event, run in events(client):
        if event["event"] == "step":
            marks.append(time.perf_counter())
        if len(marks) > count:
            return statistics.median(after - before for before, after in itertools.pairwise(marks[1:])), run
    raise SystemExit("the run ended early")


def ask(client: object, run: str) -> tuple[float, float, int | None]:
    """(seconds to the first text, tokens per second over all, step) of one answer."""
    from loralab_core.wire.messages import Generate, Generated, Piece, Sampling

    number = client.next_id()  # type: ignore[attr-defined]
    began, first = time.perf_counter(), 0.0
    sampling = Sampling(max_new_tokens=40, temperature=0.0)
    client.send(Generate(id=number, speaker="lora", run=run, prompt="Once upon a time", sampling=sampling))  # type: ignore[attr-defined]
    for response in client.responses():  # type: ignore[attr-defined]
        if isinstance(response, Piece) and response.id == number:
            first = first or time.perf_counter() - began
        if isinstance(response, Generated) and response.id == number:
            break
    return first, response.new_tokens / (time.perf_counter() - began), response.step


if __name__ == "__main__":
    main()
