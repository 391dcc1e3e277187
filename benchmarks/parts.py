"""A proof on somebody's machine, part by part: one JSON that grows, one table at the end, and a reason for every gap.

A part is done, or failed with a sentence; a run that was cut short goes on with the parts that are not done, as long as
machine and code are the same.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loralab_core.errors import first_line
from loralab_core.files import write_atomic

Row = dict[str, Any]  # what, and value with unit, share of something, ok, or why there is none
FAULTS = (RuntimeError, SyntaxError, ValueError, AttributeError, TypeError, NotImplementedError, ImportError)


@dataclass(frozen=True)
class Part:
    name: str
    work: Callable[[], Iterable[Row]]


def run_parts(
    parts: Iterable[Part], out: Path, machine: dict[str, Any], say: Callable[[str], None], *, again: bool = False
) -> dict[str, Any]:
    """Every part that is not done in `out` yet, or all of them again; the file is whole after each."""
    report = _kept(out, machine)
    for part in parts:
        if not again and report["parts"].get(part.name, {}).get("state") == "done":
            say(f"{part.name}: done before")
            continue
        say(part.name)
        report["parts"][part.name] = _result(part)
        write_atomic(out, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    return report


def _kept(out: Path, machine: dict[str, Any]) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(out.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("machine") == machine and isinstance(found.get("parts"), dict):
            return found
    return {"machine": machine, "parts": {}}


def _result(part: Part) -> dict[str, Any]:
    began, rows, why = time.monotonic(), list[Row](), ""
    try:
        for row in part.work():
            rows.append(row)
    except FAULTS as error:
        why = first_line(error)
    state = {"state": "failed", "why": why} if why else {"state": "done"}
    return {**state, "seconds": round(time.monotonic() - began, 1), "rows": rows}


def attempt(what: str, work: Callable[[], Row]) -> Row:
    """The row, or why there is none: one that fails takes no other with it."""
    try:
        return {"what": what, **work()}
    except FAULTS as error:
        return {"what": what, "why": first_line(error)}


def is_right(report: dict[str, Any]) -> bool:
    """Whether every part was done and no row is wrong or without a figure."""
    results = report["parts"].values()
    rows = [row for result in results for row in result["rows"]]
    return all(result["state"] == "done" for result in results) and all(row.get("ok", "why" not in row) for row in rows)


def table(report: dict[str, Any]) -> list[str]:
    """For a person, a line a row."""
    lines = [", ".join(f"{name} {value}" for name, value in report["machine"].items())]
    for name, result in report["parts"].items():
        lines += ["", f"{name} ({result['seconds']} s)"] + [f"  {_line(row)}" for row in result["rows"]]
        if result["state"] != "done":
            lines.append(f"  did not end: {result['why']}")
    return lines


def _line(row: Row) -> str:
    value = f"{row['value']:.4g} {row['unit']}" if "value" in row else "–" if "why" in row else ""
    share = f"{row['share']:.0%} of {row['of']}" if "share" in row else ""
    wrong = "" if row.get("ok", True) or "why" in row else f"WRONG: {row['allowed']:.1e} is allowed"
    said = [share, row.get("why", ""), row.get("note", ""), _bounds(row), wrong]
    return f"{row['what']:52} {value:18} {'  '.join(filter(None, said))}".rstrip()


def _bounds(row: Row) -> str:
    """What was hoped for, and whether it was reached."""
    sign = "≤" if row.get("low") else "≥"
    asked = [f"{word} {sign} {row[word]:.4g}" for word in ("must", "reach") if word in row]
    return f"({', '.join(asked)}{': ' if 'verdict' in row else ''}{row.get('verdict', '')})" if asked else ""


def say_on_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
