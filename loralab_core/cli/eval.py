"""`loralab eval`: perplexity of a model on a corpus, with an adapter also without it."""

import argparse

from loralab_core.cli.generate import add_model_options
from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "eval",
        help="perplexity on a corpus",
        description="Loss and perplexity over non-overlapping windows; with --adapter, before and after.",
    )
    add_model_options(parser)
    parser.add_argument("--corpus", required=True, nargs="+", help="files, folders or globs")
    parser.add_argument("--seq-len", type=int, help="tokens of a window (512, or the model's context)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.opening import corpus_windows, measure, open_model

    lm, adapter = open_model(arguments)
    windows = corpus_windows(arguments, lm)
    base = measure(lm, windows, None, "base")
    if adapter is None:
        result = {"perplexity": base.perplexity, "loss": base.loss, "tokens": base.tokens}
    else:
        tuned = measure(lm, windows, adapter, "adapter")
        result = {
            "perplexity": tuned.perplexity,
            "loss": tuned.loss,
            "tokens": tuned.tokens,
            "base_perplexity": base.perplexity,
            "base_loss": base.loss,
        }
    if arguments.json:
        print_json(result)
    else:
        before = f"  (base: {base.perplexity:.2f}, loss {base.loss:.4f})" if adapter else ""
        print(f"perplexity {result['perplexity']:.2f}, loss {result['loss']:.4f}{before}, {base.tokens:,} tokens")
    return 0
