"""`loralab change`: another length or learning rate for a run that is being trained."""

import argparse

from loralab_core.cli.main import Subparsers


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "change",
        help="change a run while it trains",
        description="Another length or learning rate for a run that is being trained, from its next step on.",
    )
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    parser.add_argument("--steps", type=int, metavar="N", help="have N steps in all")
    parser.add_argument("--lr", type=float, metavar="X", help="peak learning rate; the schedule goes on below it")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.engines import connect_to_run
    from loralab_core.cli.event_text import short_name
    from loralab_core.cli.terminal import print_json, say
    from loralab_core.errors import BadInput
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.summary import summarise
    from loralab_core.wire.messages import Change

    wanted = {key: value for key in ("steps", "lr") if (value := getattr(arguments, key)) is not None}
    if not wanted:
        raise BadInput("nothing to change: give --steps or --lr")
    found = find_run(arguments.target)
    name, client = short_name(found), connect_to_run(found)
    if client is None:
        steps = arguments.steps or "N"
        raise BadInput(f"{name} is {summarise(found).status}; `loralab resume {name} --steps {steps}` trains it on")
    with client:
        client.ask(Change(id=client.next_id(), run=str(found.path), **wanted))
    if arguments.json:
        print_json({"run": str(found.path), **wanted})
    else:
        say(f"{name} goes on with " + ", ".join(f"{key} = {value:g}" for key, value in wanted.items()))
    return 0
