"""`python -m recipes.pocket [BUILD]`: every step of Pocket's making whose output is not there yet."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from recipes.pocket.finish import write_corpora, write_model
from recipes.pocket.initial import write_initial
from recipes.pocket.report import write_report
from recipes.pocket.tokenizer import train_tokenizer, write_tokenizer
from recipes.pocket.write_text import SEED, write_text

SETTINGS = Path(__file__).with_name("training.toml")


def main(build: Path) -> None:
    text, initial, run = build / "text", build / "initial", build / "run"
    learned = [text / "chats.jsonl", text / "stories.txt"]
    _step("text", text / "sample.jsonl", write_text, text)
    _step("tokenizer", initial / "tokenizer.json", _write_tokenizer, [*learned, text / "sample.jsonl"], initial)
    _step("random weights", initial / "model.safetensors", write_initial, initial, SEED)
    _step("training", run / "model" / "model.safetensors", _train, initial, learned, run)
    print("model: written", flush=True)
    write_model(run / "model")
    write_corpora(text)
    print("report: measured on this computer", flush=True)
    write_report(run, build / "demo")


def _step(name: str, output: Path, make: Any, *arguments: Any) -> None:
    print(f"{name}: {'is there' if output.exists() else 'being made'}", flush=True)
    if not output.exists():
        make(*arguments)


def _write_tokenizer(files: list[Path], place: Path) -> None:
    write_tokenizer(train_tokenizer(files), place)


def _train(initial: Path, corpus: list[Path], run: Path) -> None:
    """As anybody would: with the command. One that was interrupted goes on from its last checkpoint."""
    command = [sys.executable, "-m", "loralab_core.cli.main"]
    if (run / "run.json").is_file():
        command += ["resume", str(run)]
    else:
        command += ["train", "--model", str(initial), "--corpus", *map(str, corpus), "--config", str(SETTINGS)]
        command += ["--name", "pocket", "--run-dir", str(run)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/pocket"))
