"""How answers are drawn, as options of a command."""

import argparse
from typing import TYPE_CHECKING, Any

from loralab_core.cli.terminal import count, say

if TYPE_CHECKING:
    from loralab_core.inference.generate import Answer
    from loralab_core.wire.messages import Sampling


def add_sampling_options(parser: argparse.ArgumentParser, *, top_p: float) -> None:
    group = parser.add_argument_group("drawing tokens")
    group.add_argument("--temperature", type=float, default=0.7, metavar="T", help="0 is greedy (default: 0.7)")
    group.add_argument("--top-k", type=int, default=0, metavar="K", help="of the K most likely tokens; 0: all")
    group.add_argument(
        "--top-p",
        type=float,
        default=top_p,
        metavar="P",
        help=f"of the most likely up to this share (default: {top_p})",
    )
    group.add_argument(
        "--min-p", type=float, default=0.0, metavar="P", help="of those that have this share of the likeliest's chance"
    )
    group.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="X",
        help="above 1, what was read or said already is less likely (default: 1)",
    )
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end where this text comes; may be given again"
    )
    group.add_argument("--max-new-tokens", type=count, default=256, metavar="N", help="(default: 256)")
    group.add_argument("--seed", type=int, default=0, metavar="N")


def sampling_from(arguments: argparse.Namespace, *, greedy: bool = False) -> "Sampling":
    """Raises BadInput, naming an option that cannot be."""
    from loralab_core.wire.messages import Sampling, check_sampling

    how = Sampling(
        temperature=0.0 if greedy else arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        min_p=arguments.min_p,
        repetition_penalty=arguments.repetition_penalty,
        stop=tuple(arguments.stop),
        seed=arguments.seed,
        max_new_tokens=arguments.max_new_tokens,
    )
    return check_sampling(how)


def say_ending(finish: str, context: int, max_new_tokens: int, more: str = "--max-new-tokens allows more") -> None:
    """Why an answer ended, where the model would have gone on. `more`: how one gets more of it."""
    if finish == "length":
        say(f"cut at {max_new_tokens} tokens; {more}")
    elif finish == "context":
        say(f"cut: prompt and answer fill the {context} tokens that this model reads, and there is no room for more")


def told(answer: "Answer") -> dict[str, Any]:
    """An answer as commands print it in JSON."""
    counts = {"prompt_tokens": len(answer.ids), "new_tokens": len(answer.tokens)}
    return {"text": answer.text, **counts, "finish": answer.finish}
