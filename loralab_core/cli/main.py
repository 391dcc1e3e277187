"""`loralab`: parse, hand over to one command, turn errors into one sentence and an exit code.

Each command is a file with `add_parser(subparsers)`, which sets `run(arguments) -> int` as a default; what is slow to
import is imported inside `run`, so that `loralab --help` is there at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from loralab_core.errors import BadInput, LoraLabError, first_line
from loralab_core.hardware.exhaustion import is_out_of_memory

COMMANDS = (
    "train",
    "resume",
    "runs",
    "attach",
    "logs",
    "stop",
    "change",
    "generate",
    "chat",
    "eval",
    "data",
    "models",
    "presets",
    "hardware",
    "kernels",
    "doctor",
)
INTERRUPTED = 130
LEANER = "give a leaner --base, less at a time (--batch-size, --seq-len, --max-new-tokens), or another --device"

Subparsers = argparse._SubParsersAction  # argparse has no public name for it


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message} (`{self.prog} --help` explains)\n")


def build_parser() -> Parser:
    parser = Parser(
        prog="loralab",
        description="Fine-tune a language model and talk to it while it trains.",
        epilog="Without a command, on a terminal, the studio opens (loralab-tui).",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name in COMMANDS:
        module = f"loralab_core.cli.{name}"
        try:
            importlib.import_module(module).add_parser(subparsers)
        except ModuleNotFoundError as error:
            if error.name != module:  # something that the command needs
                raise
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 success, 1 failed, 2 bad input, 130 after Ctrl-C."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except LoraLabError as error:
        print(_one_line(str(error)), file=sys.stderr)
        return error.exit_code
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(_one_line(f"out of memory: {first_line(error)}; {LEANER}"), file=sys.stderr)
        return LoraLabError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: Sequence[str] | None) -> int:
    _check_text(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    given = parser.parse_args(arguments)
    if given.version:
        print(f"loralab {_version()}")
        return 0
    if given.command is None:
        if sys.stdin.isatty() and sys.stdout.isatty():
            os.execv(sys.executable, [sys.executable, "-m", "loralab_tui"])
        parser.print_help()
        return 0
    code: int = given.run(given)
    return code


def _check_text(words: Sequence[str]) -> None:
    """BadInput for bytes that are no UTF-8: run.json and the engine's messages can hold texts only."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{word!r} is not UTF-8 text; write it anew, or rename the file") from None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("loralab-tui")
    except PackageNotFoundError:
        return "from source, not installed"


def _one_line(sentence: str) -> str:
    return " ".join(sentence.split())


if __name__ == "__main__":
    sys.exit(main())
