"""`loralab-tui`: the studio."""

import argparse
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
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    if not sys.stdout.isatty():
        print("loralab-tui needs a terminal; `loralab train` works without one", file=sys.stderr)
        return 2
    from loralab_tui.app import Options, StudioApp

    app = StudioApp(Options(asked.model, asked.corpus, asked.attach))
    app.run()
    if app.farewell:
        print(app.farewell)
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
