"""`loralab presets`: the named starting points."""

import argparse

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("presets", help="list named starting points for --preset")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.planning.presets import list_presets

    presets = list_presets()
    if arguments.json:
        print_json({"presets": presets})
        return 0
    for preset in presets:
        print(f"{preset.name:<10} {preset.about}")
        print(f"{'':<10} {', '.join(f'{key}={value}' for key, value in preset.settings.items())}")
    return 0
