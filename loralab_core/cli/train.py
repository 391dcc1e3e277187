"""`loralab train`: start a run in its engine and follow it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers
from loralab_core.cli.options import add_train_options, gather, print_config
from loralab_core.cli.terminal import Interrupts, print_json

if TYPE_CHECKING:
    from loralab_core.wire.client import Client
    from loralab_core.wire.messages import Resume, Started, Train


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a model on a corpus",
        description="Train an adapter (or all weights). The engine trains detached: this terminal may close. "
        "Ctrl-C writes a checkpoint and stops.",
    )
    add_train_options(parser)
    parser.add_argument("--detach", action="store_true", help="return as soon as the run has started")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    asked = gather(arguments)
    if arguments.print_config:
        print(print_config(asked, arguments.json))
        return 0
    from loralab_core.cli.engines import connect_for, settle
    from loralab_core.runs.config import config_to_dict
    from loralab_core.runs.directory import create_run
    from loralab_core.wire.messages import Resume, Train

    config = settle(asked.config)
    if config.mode == "full":  # the run comes first, since its engine is called after it
        made = create_run(config, asked.by_user)
        with connect_for(config, made.record().engine_mode) as client:
            begin = Resume(id=client.next_id(), run=str(made.path))
            return start_and_follow(client, begin, detach=arguments.detach, as_json=arguments.json)
    with connect_for(config) as client:
        request = Train(id=client.next_id(), config=config_to_dict(config), asked=asked.by_user)
        return start_and_follow(client, request, detach=arguments.detach, as_json=arguments.json)


def start_and_follow(client: "Client", request: "Train | Resume", *, detach: bool, as_json: bool) -> int:
    """Send `request`, then show the run's events until it ends (or return at once); the exit code."""
    from loralab_core.cli.follow import follow_to_end, wait_until_started
    from loralab_core.cli.render import choose_renderer
    from loralab_core.runs.directory import RunDirectory

    show = choose_renderer(as_json)
    try:
        with Interrupts().counted() as interrupts:
            client.send(request)
            started = wait_until_started(client, request.id, show, interrupts)
            if detach:
                return leave(started, as_json)
            return follow_to_end(client, RunDirectory(Path(started.run)), show, interrupts, stops=True)
    finally:
        show.close()


def leave(started: "Started", as_json: bool) -> int:
    """Say where the run is, and go."""
    if as_json:
        print_json({"event": "started", "run": started.run, "pid": started.pid})
    else:
        print(f"{started.run} is trained by process {started.pid}; `loralab attach last` follows it")
    return 0
