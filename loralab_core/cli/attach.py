"""`loralab attach`: the whole history of a run, then what happens, to its end. Ctrl-C only ends the looking."""

import argparse
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers

if TYPE_CHECKING:
    from loralab_core.runs.directory import RunDirectory
    from loralab_core.wire.client import Client


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("attach", help="follow a run from its beginning")
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.engines import connect_to_run
    from loralab_core.errors import LoraLabError
    from loralab_core.runs.directory import find_run

    found = find_run(arguments.target)
    try:
        client = connect_to_run(found)
    except LoraLabError:  # trained elsewhere, by a library user, or by a frozen engine: the file still tells
        client = None
    return attach(found, client, arguments.json)


def attach(run: "RunDirectory", client: "Client | None", as_json: bool) -> int:
    """Follow through the engine, or from the file where there is none; the exit code."""
    from loralab_core.cli.follow import follow_file, follow_to_end
    from loralab_core.cli.render import choose_renderer
    from loralab_core.cli.terminal import Interrupts
    from loralab_core.wire.messages import Attach

    show = choose_renderer(as_json)
    try:
        if client is None:
            return follow_file(run, show)
        with client, Interrupts().counted() as interrupts:
            asked = Attach(id=client.next_id(), run=str(run.path))
            client.send(asked)
            return follow_to_end(client, run, show, interrupts, stops=False, history=asked.id)
    finally:
        show.close()
