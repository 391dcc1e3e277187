"""Opening a model in this process for a command, with its progress on stderr. Imports torch, so it is imported late."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from loralab_core import evaluation
from loralab_core.cli.terminal import say
from loralab_core.lora import Adapter, LoadedModel, load
from loralab_core.runs.result import find_adapter
from loralab_core.text.packing import Windows


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """A function (done, total) that moves a bar on a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _telling(move: Callable[[int, int], None]) -> Callable[[int, int, str], None]:
    """What loading reports, moving the bar; of its words those that give a reason (": …") are said, each once."""
    said = set()

    def report(done: int, total: int, what: str) -> None:
        move(done, total)
        if ": " in what and what not in said:
            said.add(what)
            say(what)

    return report


def open_model(arguments: argparse.Namespace) -> tuple[LoadedModel, Adapter | None]:
    """The model of --model with the adapter of --adapter read, not yet switched on. Raises BadInput."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with progress_bar("opening the model") as move:
        lm = load(
            arguments.model,
            arguments.base,
            arguments.device,
            _telling(move),
            arguments.compute,
        )
    adapter = lm.attach(find_adapter(arguments.adapter)) if arguments.adapter else None
    return lm, adapter


def corpus_windows(arguments: argparse.Namespace, lm: LoadedModel) -> Windows:
    with progress_bar("tokenising") as move:
        return evaluation.corpus_windows(
            lm,
            arguments.corpus,
            arguments.seq_len,
            lambda event: move(event["done_bytes"], event["total_bytes"]),
        )


def measure(lm: LoadedModel, windows: Windows, adapter: Adapter | None, what: str) -> evaluation.Perplexity:
    with progress_bar(f"perplexity of the {what}") as move:
        return evaluation.perplexity(lm, windows, adapter, move)
