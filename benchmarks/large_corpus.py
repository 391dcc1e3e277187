"""A large JSONL of chats opened, shown, tokenised and trained on: seconds and peak memory of each command.

    python benchmarks/large_corpus.py --model DIR --seed-rows FILE.jsonl [--megabytes 200] [--out FILE.json]

Writes `--megabytes` of chats made from the rows of FILE.jsonl (`question`, `answer`), each different, below a
temporary directory, then runs the real commands. Not a test: nothing fails here.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import command_line, machine, publish


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed-rows", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = measure(arguments, Path(directory))
    publish(report, arguments.out)


def write_corpus(rows: Path, megabytes: int, place: Path) -> int:
    seeds = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    written = count = 0
    with place.open("w", encoding="utf-8") as file:
        for number, seed in enumerate(itertools.cycle(seeds)):
            question = {"role": "user", "content": f"Problem {number}. {seed['question']}"}
            line = json.dumps({"messages": [question, {"role": "assistant", "content": seed["answer"]}]})
            written, count = written + file.write(line + "\n"), count + 1
            if written >= megabytes * 1_000_000:
                return count
    return count


def measure(arguments: argparse.Namespace, directory: Path) -> dict[str, object]:
    corpus = directory / "chats.jsonl"
    rows = write_corpus(arguments.seed_rows, arguments.megabytes, corpus)
    environment = {**os.environ, "LORALAB_HOME": str(directory / "home"), "LORALAB_ENGINE_IDLE_S": "1"}
    loralab = [sys.executable, "-m", "loralab_core.cli.main"]
    model = ["--model", str(arguments.model.resolve())]
    began = time.perf_counter()
    subprocess.run(
        [*loralab, "data", "show", str(corpus), *model, "--json"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shown = time.perf_counter() - began
    shown_peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    began = time.perf_counter()
    options = ["--base", "fp32", "--seq-len", "256", "--batch", "8", "--steps", "5", "--val", "0.0001", "--json"]
    done = subprocess.run(
        [*loralab, "train", *model, "--corpus", str(corpus), *options],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    return {
        "machine": machine(),
        "corpus": {"megabytes": corpus.stat().st_size / 1e6, "rows": rows},
        "show_and_tokenise": {"seconds": shown, "peak_memory_bytes": shown_peak},
        "train_5_steps_cached": {
            "seconds": time.perf_counter() - began,
            "peak_memory_bytes": last["peak_memory_bytes"],
            "event": last["event"],
        },
    }


if __name__ == "__main__":
    main()
