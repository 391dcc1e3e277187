"""`loralab models`: the models this version was checked with."""

import argparse

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json, size


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("models", help="list models that were checked with this version")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run, json=False)
    actions = parser.add_subparsers(metavar="ACTION")
    listing = actions.add_parser("list", help="all of them, the smallest first")
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.catalog.models import catalog_models

    models = catalog_models()
    if arguments.json:
        print_json({"models": models})
        return 0
    for model in models:
        print(
            f"{model.id:<40} {model.parameters / 1e6:>6,.0f}M  {size(model.bytes):>9}  {model.licence}  {model.about}"
        )
    return 0
