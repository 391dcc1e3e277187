"""`loralab stop`: write a checkpoint and end a run."""

import argparse

from loralab_core.cli.main import Subparsers


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("stop", help="write a checkpoint and end a run")
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.engines import connect_to_run
    from loralab_core.cli.event_text import resume_hint, short_name
    from loralab_core.cli.terminal import print_json, say
    from loralab_core.errors import BadInput
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.summary import summarise
    from loralab_core.wire.messages import Stop

    found = find_run(arguments.target)
    client = connect_to_run(found)
    if client is None:
        raise BadInput(f"{short_name(found)} is not running ({summarise(found).status}); there is nothing to stop")
    with client:
        client.ask(Stop(id=client.next_id(), run=str(found.path)))
    summary = summarise(found)
    if arguments.json:
        print_json({"run": str(found.path), "status": summary.status, "step": summary.step})
    else:
        say(f"{short_name(found)} is {summary.status} at step {summary.step}; {resume_hint(found)}")
    return 0
