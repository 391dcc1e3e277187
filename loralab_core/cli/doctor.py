"""`loralab doctor`: what works here, what does not, and what to do about it."""

import argparse

from loralab_core.cli.main import Subparsers

_MARKS = {"ok": "✓", "note": "·", "bad": "✗"}


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("doctor", help="check this computer and say what to do")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.checkup import check_up
    from loralab_core.cli.terminal import print_json

    findings = check_up()
    healthy = all(finding.state != "bad" for finding in findings)
    if arguments.json:
        print_json({"healthy": healthy, "findings": findings})
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]} {finding.about:<14} {finding.sentence}")
    return 0 if healthy else 1
