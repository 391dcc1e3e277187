"""Pocket, the model that is always there: where its files are, and what shows its change of manner."""

from pathlib import Path
from typing import Any

NAME = "pocket"  # what a user calls it; resolve_model knows the word

ABOUT = "comes with LoRA Lab; simple English, trains in a minute on any computer"
LICENCE = "mit"

_HERE = Path(__file__).resolve().parent
POCKET = _HERE / "model"
SAMPLE_CORPUS = _HERE / "sea-captain.jsonl"  # the same questions, answered by a merry old sea captain
HELD_OUT = _HERE / "held-out.jsonl"  # conversations Pocket was not trained on

SUGGESTED_QUESTION = "Tell me a story about a whale."
PROMPTS: tuple[str, str, str] = ("Who are you?", "What is a fox?", "How are you?")

# A minute on two cores. Settings of a TrainConfig, by their names.
DEMO_SETTINGS: dict[str, Any] = {
    "rank": 8,
    "alpha": 16.0,
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 5,
    "steps": 120,
    "batch": 8,
    "seq_len": 256,
    "save_every": 25,
}
