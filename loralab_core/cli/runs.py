"""`loralab runs`: list, show, rename, delete and export runs."""

import argparse
import sys
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import duration, number, print_json, say, size

if TYPE_CHECKING:
    from loralab_core.runs.directory import RunDirectory
    from loralab_core.runs.summary import Summary


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("runs", help="list, show, rename, delete or export runs")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=list_all, json=False)
    actions = parser.add_subparsers(metavar="ACTION")
    _action(actions, "list", "all runs, the newest first", list_all)
    _with_run(_action(actions, "show", "one run in detail", show))
    rename_parser = _with_run(_action(actions, "rename", "give a run another name", rename))
    rename_parser.add_argument("name", metavar="NAME", help="the new name; empty takes back the one it began with")
    delete_parser = _with_run(_action(actions, "delete", "remove a run and everything in it", delete))
    delete_parser.add_argument("--yes", action="store_true", help="do not ask")
    export_parser = _with_run(
        _action(actions, "export", "copy what a run made to a folder: its adapter (PEFT layout) or its model", export)
    )
    export_parser.add_argument("folder", metavar="FOLDER")


def _action(
    actions: "Subparsers[argparse.ArgumentParser]", name: str, help: str, run: object
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object on stdout")
    parser.set_defaults(run=run)
    return parser


def _with_run(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("target", metavar="RUN", help="id, unique start of one, path, or `last`")
    return parser


def list_all(arguments: argparse.Namespace) -> int:
    from loralab_core.runs.directory import list_runs
    from loralab_core.runs.summary import summarise

    summaries = [summarise(run, record) for run, record in reversed(list_runs())]
    if arguments.json:
        print_json({"runs": summaries})
    elif not summaries:
        say("no runs yet; `loralab train` makes one")
    else:
        _print_table(summaries)
    return 0


def _print_table(summaries: "list[Summary]") -> None:
    from loralab_core.runs.summary import spark, thin

    rows = [("RUN", "NAME", "STATUS", "STEP", "LOSS", "VAL", "TIME", "DISK", "")]
    for one in summaries:
        step = f"{one.step}/{one.steps}" if one.steps else str(one.step)
        figures = (number(one.loss), number(one.val_loss), duration(one.seconds), size(one.disk_bytes))
        rows.append((one.id, one.name or "", one.status, step, *figures, spark(thin(one.curve, 16))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show(arguments: argparse.Namespace) -> int:
    import msgspec

    from loralab_core.runs.directory import find_run
    from loralab_core.runs.summary import summarise

    run = find_run(arguments.target)
    record = run.record()
    summary = summarise(run, record)
    if arguments.json:
        print_json({**msgspec.to_builtins(summary), "record": record})
    else:
        _print_details(run, summary)
    return 0


def _print_details(run: "RunDirectory", summary: "Summary") -> None:
    from loralab_core.runs.checkpoints import list_checkpoints
    from loralab_core.runs.summary import spark

    result = run.model if summary.mode == "full" else run.adapter
    best = f"{number(summary.val_loss)} at step {summary.best_step}" if summary.val_loss is not None else "–"
    lines = {
        "run": summary.id,
        "name": summary.name,
        "status": f"{summary.status}{f' on {summary.host}' if summary.host else ''}",
        "why": summary.why,
        "model": summary.model,
        "corpus": ", ".join(summary.corpus),
        "trains": summary.mode,
        "step": f"{summary.step} of {summary.steps or '?'}, {summary.tokens:,} tokens, {duration(summary.seconds)}",
        "loss": f"{number(summary.loss)}  {spark(summary.curve)}",
        "validation": f"best {best}, perplexity {number(summary.val_perplexity, '.2f')}",
        "checkpoints": ", ".join(str(one.step) for one in list_checkpoints(run.checkpoints)) or "none",
        "result": str(result) if result.is_dir() else "not written yet",
        "files": f"{run.path} ({size(summary.disk_bytes)})",
    }
    for key, value in lines.items():
        if value:
            print(f"{key:<12} {value}")


def rename(arguments: argparse.Namespace) -> int:
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.naming import rename_run

    run = find_run(arguments.target)
    name = rename_run(run, arguments.name)
    if arguments.json:
        print_json({"run": str(run.path), "name": name})
    else:
        say(f"{run.record().id} is now called {name}" if name else f"{run.record().id} has no name of its own any more")
    return 0


def delete(arguments: argparse.Namespace) -> int:
    from loralab_core.cli.event_text import short_name
    from loralab_core.errors import BadInput
    from loralab_core.runs.directory import delete_run, find_run
    from loralab_core.runs.owner import owner

    run = find_run(arguments.target)
    if (by := owner(run)) is not None:
        raise BadInput(
            f"{short_name(run)} is being trained by process {by.pid}; `loralab stop {short_name(run)}` first"
        )
    if not arguments.yes and not _agreed(run):
        say("nothing was deleted")
        return 1
    delete_run(run)
    if arguments.json:
        print_json({"deleted": str(run.path)})
    else:
        say(f"deleted {run.path}")
    return 0


def _agreed(run: "RunDirectory") -> bool:
    from loralab_core.errors import BadInput
    from loralab_core.runs.summary import disk_bytes

    if not sys.stdin.isatty():
        raise BadInput(f"deleting {run.path} asks for a confirmation; add --yes where nobody can answer")
    print(
        f"delete {run.path} ({size(disk_bytes(run.path))}) with its adapter and checkpoints? [y/N] ", end="", flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def export(arguments: argparse.Namespace) -> int:
    from loralab_core.paths import expand_user
    from loralab_core.runs.directory import find_run
    from loralab_core.runs.result import export_result

    folder = expand_user(arguments.folder).absolute()
    result = export_result(find_run(arguments.target), folder)
    if arguments.json:
        print_json({result.kind: str(folder), "step": result.step})
    else:
        say(f"exported the {result.kind}{'' if result.step is None else f' of step {result.step}'} to {folder}")
    return 0
