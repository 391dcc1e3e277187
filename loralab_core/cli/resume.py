"""`loralab resume`: go on with a run from its last checkpoint, or extend a finished one."""

import argparse
import os
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import say

if TYPE_CHECKING:
    from loralab_core.runs.config import TrainConfig
    from loralab_core.runs.directory import RunDirectory


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "resume",
        help="continue a run from its last checkpoint",
        description="Continue a stopped or interrupted run; with --steps also a finished one.",
    )
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    parser.add_argument("--steps", type=int, metavar="N", help="have N steps in all (extends a finished run)")
    parser.add_argument("--detach", action="store_true", help="return as soon as the run goes on")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.attach import attach
    from loralab_core.cli.checks import check_corpus
    from loralab_core.cli.engines import connect_for, connect_to_run
    from loralab_core.cli.event_text import short_name
    from loralab_core.cli.train import leave, start_and_follow
    from loralab_core.errors import BadInput
    from loralab_core.runs.directory import find_run
    from loralab_core.wire.messages import Resume, Started

    found = find_run(arguments.target)
    if living := connect_to_run(found):
        with living:
            if arguments.steps is not None:
                name = short_name(found)
                raise BadInput(
                    f"{name} is being trained; `loralab change {name} --steps {arguments.steps}` does it now"
                )
            say(f"{short_name(found)} is being trained already; following it")
            if arguments.detach:
                return leave(Started(id=0, run=str(found.path), pid=living.engine.pid), arguments.json)
            return attach(found, living, arguments.json)
    for corpus in found.record().train_config().corpus:
        check_corpus(corpus)
    with connect_for(place_again(found), found.record().engine_mode) as client:
        request = Resume(id=client.next_id(), run=str(found.path), steps=arguments.steps)
        return start_and_follow(client, request, detach=arguments.detach, as_json=arguments.json)


def place_again(run: "RunDirectory") -> "TrainConfig":
    """The run's settings, checked against this computer. BadInput if its model or device is not here now."""
    import msgspec

    from loralab_core.cli.checks import resolve_place
    from loralab_core.cli.engines import local_model
    from loralab_core.errors import BadInput

    config = run.record().train_config()
    if os.path.isabs(config.model) and not os.path.isdir(config.model):
        raise BadInput(f"the model of this run, {config.model}, is not there any more; put it back")
    model = local_model(config.model)
    return msgspec.structs.replace(resolve_place(config, model), model=str(model))
