"""`loralab models`: which models there are, what one needs, bringing one here."""

import argparse

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json, say


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("models", help="list, show or download models")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=list_all, json=False)
    actions = parser.add_subparsers(metavar="ACTION")
    _action(actions, "list", "what is on this disk, and the catalogue, smallest first", list_all)
    show_parser = _action(actions, "show", "one model: size, licence, memory, what would be downloaded", show)
    show_parser.add_argument("model", metavar="MODEL", help="Hub id, address on the Hub, or directory")
    pull_parser = _action(actions, "pull", "download a model; its directory is printed on stdout", pull)
    pull_parser.add_argument("model", metavar="MODEL", help="Hub id or address on the Hub")
    pull_parser.add_argument("--revision", metavar="REV", help="branch, tag or commit (default: the main branch)")
    _action(actions, "verify", "compare the catalogue with the Hub", verify)


def _action(
    actions: "Subparsers[argparse.ArgumentParser]", name: str, help: str, run: object
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on stdout")
    parser.set_defaults(run=run)
    return parser


def list_all(arguments: argparse.Namespace) -> int:
    from loralab_core.catalog.found import models
    from loralab_core.cli.model_list import as_json, lines
    from loralab_core.hardware.room import find_room
    from loralab_core.planning.candidates import candidates

    room = find_room()
    found = candidates(models(), room)
    if arguments.json:
        print_json(as_json(found, room))
        return 0
    for line in lines(found, room):
        print(line)
    return 0


def pull(arguments: argparse.Namespace) -> int:
    from loralab_core.architecture.families import parse_config
    from loralab_core.catalog.hub import download
    from loralab_core.catalog.reference import hub_reference
    from loralab_core.errors import BadInput

    reference = hub_reference(arguments.model)
    if reference is None:
        raise BadInput(f"{arguments.model} is no Hub id such as owner/name and no address on the Hub")
    if arguments.revision:
        if reference.revision not in (None, arguments.revision):
            raise BadInput(f"{arguments.model} and --revision {arguments.revision} name two revisions; leave one out")
        reference = hub_reference(f"{reference.id}@{arguments.revision}")
        if reference is None:
            raise BadInput(f"--revision {arguments.revision} is not the name of a branch, a tag or a commit")
    directory = download(reference, parse_config)
    if arguments.json:
        print_json({"model": str(reference), "directory": str(directory)})
    else:
        print(directory)
    return 0


def show(arguments: argparse.Namespace) -> int:
    from loralab_core.catalog.inspection import inspect
    from loralab_core.cli.model_facts import facts_of, lines

    facts = facts_of(inspect(arguments.model), arguments.model)
    if arguments.json:
        print_json(facts)
        return 0
    for line in lines(facts):
        print(line)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Exit code 1 where something differs or could not be looked up."""
    from loralab_core.architecture.families import parse_config
    from loralab_core.catalog.models import Figures, catalog_models
    from loralab_core.catalog.verify import Found, check_entry
    from loralab_core.planning.footprint import figures_of

    def read(raw: dict[str, object], source: str) -> Figures:
        return figures_of(parse_config(raw, source))

    results: list[Found] = []
    for model in catalog_models():
        results.append(check_entry(model, read))
        if not arguments.json:
            found = results[-1]
            say(f"{model.id:<40} {'; '.join(found.differences) or 'as the catalogue says'}")
    if arguments.json:
        print_json({"models": results})
    return 1 if any(found.differences for found in results) else 0
