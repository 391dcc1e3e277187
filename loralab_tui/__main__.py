"""`loralab-tui`: the studio."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loralab-tui", description="Fine-tune a language model and talk to it while it trains."
    )
    parser.add_argument("--model", metavar="M", help="a model directory or a Hugging Face id")
    parser.add_argument("--corpus", metavar="FILE", help="what to train on: a file, a folder or a glob")
    parser.add_argument(
        "--attach", metavar="RUN", help="come back to a run: an id, a unique start of it, a path, or last"
    )
    parser.add_argument("--demo", action="store_true", help="open the bundled pocket model and sample corpus")
    parser.add_argument(
        "--on-done", metavar="CMD", default="", help="a shell command for when a run on the screen has ended"
    )
    parser.add_argument("--keys", action="store_true", help="print the keys as a file that can be changed, and end")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    from loralab_core.errors import LoraLabError
    from loralab_core.paths import home

    asked = parser().parse_args(arguments)
    try:
        home()  # everything asks for it, and nothing can be shown without
        return print_keys() if asked.keys else open_studio(asked)
    except LoraLabError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def open_studio(asked: argparse.Namespace) -> int:
    if not sys.stdout.isatty():
        print("loralab-tui needs a terminal; `loralab train` works without one", file=sys.stderr)
        return 2
    from loralab_tui.terminal import environment as terminal

    terminal.prepare(os.environ)
    gc.disable()  # what is imported stays: looking through it for rubbish only delays the first paint
    from loralab_tui.app import Options, StudioApp
    from loralab_tui.beginning import pocket

    gc.enable()
    gc.freeze()
    options = Options(asked.model, asked.corpus, asked.attach, on_done=asked.on_done, demo=asked.demo)
    app = StudioApp(options, demo=pocket)
    app.run()
    if app.farewell:
        print(app.farewell)
    return app.return_code or 0


def print_keys() -> int:
    from loralab_tui.config import keymap, keys_file

    keymap.use(keys_file.read_keys(keys_file.path()))
    print(keys_file.as_toml(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
