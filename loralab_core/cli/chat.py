"""`loralab chat`: a conversation in the plain terminal, with the base model, an adapter, or a run while it trains."""

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

from loralab_core.cli.generate import add_number_options
from loralab_core.cli.main import Subparsers
from loralab_core.cli.sampling_options import add_sampling_options, sampling_from

if TYPE_CHECKING:
    from loralab_core.runs.config import TrainConfig
    from loralab_core.runs.directory import RunDirectory
    from loralab_core.wire.client import Client


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "chat",
        help="talk to a model, an adapter, or a run while it trains",
        description="A conversation. /base, /lora and /both choose who answers, /more goes on with an answer "
        "that was cut, /new forgets, /quit leaves; Ctrl-C stops an answer, twice leaves.",
    )
    parser.add_argument("--model", metavar="DIR|ID", help="model directory, .gguf file or Hub id")
    parser.add_argument("--adapter", metavar="DIR", help="a PEFT adapter for this model")
    parser.add_argument("--run", dest="target", metavar="RUN", help="the model and adapter of this run")
    add_number_options(parser)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]|mps")
    parser.add_argument("--continue", dest="continues", action="store_true", help="continue texts instead of chatting")
    parser.add_argument("--system", metavar="TEXT", help="the system message")
    add_sampling_options(parser, top_p=0.95)
    parser.add_argument("--json", action="store_true", help="each answer as one JSON line on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.conversation import Conversation, talk
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.result import find_adapter

    target = find_run(arguments.target) if arguments.target else None
    sampling = sampling_from(arguments)
    with suppress(ImportError):
        import readline  # noqa: F401 - editing and history for input()
    with _connect(arguments, target) as client:
        adapter = str(find_adapter(arguments.adapter)) if arguments.adapter else None
        place = str(target.path) if target else None
        conversation = Conversation(
            client,
            sampling,
            place,
            adapter,
            arguments.system,
            arguments.continues,
            as_json=arguments.json,
            compute=arguments.compute,
        )
        return talk(conversation)


def _connect(arguments: argparse.Namespace, target: "RunDirectory | None") -> "Client":
    from loralab_core.cli.engines import connect_for, connect_to_run
    from loralab_core.cli.resume import place_again

    if target is None:
        return connect_for(_settings(arguments))
    return connect_to_run(target) or connect_for(place_again(target), target.record().engine_mode)


def _settings(arguments: argparse.Namespace) -> "TrainConfig":
    """Only what chooses an engine."""
    import msgspec

    from loralab_core.cli.checks import resolve_place
    from loralab_core.cli.engines import local_model
    from loralab_core.errors import BadInput
    from loralab_core.runs.config import config_from

    if not arguments.model:
        raise BadInput("no model: give --model with a directory or a Hub id, or --run with a run")
    asked = config_from({"model": arguments.model, "corpus": [], "base": arguments.base, "device": arguments.device})
    model = local_model(asked.model)
    return msgspec.structs.replace(resolve_place(asked, model), model=str(model))
