"""`loralab generate`: one answer, in this process."""

import argparse
import sys
from itertools import chain
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers
from loralab_core.cli.sampling_options import add_sampling_options, sampling_from
from loralab_core.cli.terminal import count, print_json, say
from loralab_core.errors import BadInput

if TYPE_CHECKING:
    from loralab_core.lora.loaded import LoadedModel


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "generate",
        help="continue a text or answer one question",
        description="Continue a text, or with --chat answer it as a question. The text streams to stdout.",
    )
    add_model_options(parser)
    parser.add_argument("--prompt", required=True, help="the text; - reads standard input")
    parser.add_argument("--chat", action="store_true", help="render the prompt with the model's chat template")
    parser.add_argument("--begin", metavar="TEXT", default="", help="with --chat: how the answer begins")
    parser.add_argument("--greedy", action="store_true", help="always the most likely token (as --temperature 0)")
    add_sampling_options(parser, top_p=1.0)
    parser.add_argument("--json", action="store_true", help="one JSON object with the text and its speed")
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What generate and eval share."""
    parser.add_argument("--model", required=True, help="a model directory, a .gguf file or a Hub id")
    parser.add_argument("--adapter", help="a PEFT adapter directory, a checkpoint or a run (its adapter)")
    parser.add_argument("--base", default="auto", choices=("auto", "fp32", "bf16", "nf4", "int4", "int8"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=count, help="processor threads")


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.opening import open_model
    from loralab_core.inference.generate import Answer

    if arguments.begin and not arguments.chat:
        raise BadInput("--begin goes with --chat; without it, end --prompt with those words")
    text = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    lm, adapter = open_model(arguments)
    if arguments.chat and (note := lm.text().template_note):
        say(note)
    ids = _prompt_ids(lm, text, arguments.chat, arguments.begin)
    begun = _as_read(arguments.begin, lm.text().decode(ids))
    continues = bool(begun) or not arguments.chat
    answer = Answer(lm, ids, sampling_from(arguments, greedy=arguments.greedy), adapter, continues=continues)
    for piece in chain([begun], answer.pieces()):
        if not arguments.json:
            print(piece, end="", flush=True)
    if arguments.json:
        new = len(answer.tokens)
        rate = answer.tokens_per_s
        print_json({"text": begun + answer.text, "prompt_tokens": len(ids), "new_tokens": new, "tokens_per_s": rate})
    else:
        print()
    return 0


def _prompt_ids(lm: "LoadedModel", text: str, chat: bool, begin: str) -> list[int]:
    from loralab_core.inference.generate import prompt_ids

    if not chat:
        return prompt_ids(lm, prompt=text)
    begun = [{"role": "assistant", "content": begin}] if begin else []
    messages = [{"role": "user", "content": text}, *begun]
    return prompt_ids(lm, messages=messages, continue_final_message=bool(begin))


def _as_read(begin: str, prompt: str) -> str:
    """`begin` as `prompt` ends with it: many templates trim, and the model then writes the white space itself."""
    return next((words for words in (begin, begin.rstrip()) if prompt.endswith(words)), begin.strip())
