"""`loralab generate`: one answer, or those to many prompts, in this process."""

import argparse
from itertools import chain
from typing import TYPE_CHECKING, get_args

from loralab_core.cli.main import Subparsers
from loralab_core.cli.sampling_options import add_sampling_options, sampling_from, say_ending, told
from loralab_core.cli.terminal import INTERRUPTED, Interrupts, count, print_json, say
from loralab_core.runs.numerics import Base, Compute

if TYPE_CHECKING:
    from loralab_core.inference.generate import Answer


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "generate",
        help="continue texts or answer questions",
        description="Continue a text, or with --chat answer it as a question. The text streams to stdout. Of several "
        "prompts many are answered at a time, each as it would be alone; Ctrl-C keeps what was answered.",
    )
    add_model_options(parser)
    parser.add_argument(
        "--prompt", action="append", metavar="TEXT", help="the text; - reads standard input; may be given again"
    )
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help='one prompt a line, or .jsonl with "prompt" or "messages"; - reads lines from standard input',
    )
    parser.add_argument(
        "--batch-size", type=count, default=16, metavar="N", help="prompts at a time, at most (default: 16)"
    )
    parser.add_argument("--chat", action="store_true", help="render prompts with the model's chat template")
    parser.add_argument("--begin", metavar="TEXT", default="", help="with --chat: how the answer begins")
    parser.add_argument("--greedy", action="store_true", help="always the most likely token (as --temperature 0)")
    add_sampling_options(parser, top_p=1.0)
    parser.add_argument("--json", action="store_true", help="a JSON object for each answer, one a line, in order")
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What generate and eval share."""
    parser.add_argument("--model", required=True, help="a model directory, a .gguf file or a Hub id")
    parser.add_argument("--adapter", help="a PEFT adapter directory, a checkpoint or a run (its adapter)")
    add_number_options(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=count, help="processor threads")


def add_number_options(parser: argparse.ArgumentParser) -> None:
    """Of a model that answers."""
    parser.add_argument("--base", default="auto", choices=get_args(Base), help="number format of the weights")
    parser.add_argument("--compute", default="auto", choices=get_args(Compute), help="products with quantised weights")


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.prompt_file import questions_of

    sampling = sampling_from(arguments, greedy=arguments.greedy)  # what is wrong is said before a model is read
    questions = questions_of(arguments)

    from loralab_core.cli.generate_many import answer_all, answer_to, ids_of
    from loralab_core.cli.opening import open_model

    lm, adapter = open_model(arguments)
    if (arguments.chat or any(each.messages for each in questions)) and (note := lm.text().template_note):
        say(note)
    if arguments.prompts or len(questions) > 1:
        return answer_all(lm, adapter, questions, sampling, arguments)
    ids = ids_of(lm, questions[0], arguments)
    return _stream(answer_to(lm, questions[0], ids, sampling, adapter, arguments), as_json=arguments.json)


def _stream(answer: "Answer", *, as_json: bool) -> int:
    """Ctrl-C keeps what was said."""
    with Interrupts().counted(at_most=1) as interrupts:
        for piece in chain([answer.text], answer.pieces()):
            if not as_json:
                print(piece, end="", flush=True)
            if interrupts.count:
                break
    if as_json:
        print_json({**told(answer), "tokens_per_s": answer.tokens_per_s})
    else:
        print()
        say_ending(answer.finish, answer.lm.model.config.context, answer.sampling.max_new_tokens)
    return INTERRUPTED if interrupts.count else 0
