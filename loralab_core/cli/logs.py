"""`loralab logs`: what a run said, as lines; -f goes on with it."""

import argparse
import time
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers

if TYPE_CHECKING:
    from loralab_core.runs.events import Event


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("logs", help="print what happened in a run")
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    parser.add_argument("--json", action="store_true", help="the events as JSON lines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.events import FINAL, EventReader
    from loralab_core.runs.owner import owner

    found = find_run(arguments.target)
    reader = EventReader(found.events_path)
    if not arguments.json and found.log_path.is_file():
        print(found.log_path.read_text(errors="replace"), end="")
    while True:
        living = owner(found) is not None
        events = reader.poll()
        for event in events:
            print(_line(event, arguments.json), flush=True)
        ended = bool(events) and events[-1]["event"] in FINAL
        if not arguments.follow or ended or not living:
            return 0
        time.sleep(0.2)


def _line(event: "Event", as_json: bool) -> str:
    import msgspec

    from loralab_core.cli.event_text import describe, describe_step

    if as_json:
        return msgspec.json.encode(event).decode()
    said = describe_step(event, None) if event["event"] == "step" else describe(event) or event["event"]
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(event.get('time', 0)))}  {said}"
