"""The kernels proven on this box, part by part, and measured against what the box itself can do.

    make gpu [PARTS="test train-qwen3-8b"] [AGAIN=1]
    python3 -m benchmarks.gpu [PART …] [--again] [--seconds 450]

Figures go into build/gpu/result.json as soon as a part is done; called again, it goes on with what is missing.
PART: a name, or the beginning of several ("test", "train"). Ends with 1 where something is wrong or was not done.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "gpu"
SECONDS = 450.0  # less than eight minutes, with Python's own start
SOURCES = ("loralab_core/**/*.py", "csrc/**/*", "benchmarks/gpu/**/*", "benchmarks/parts.py", "benchmarks/apart.py")


def main(asked: Sequence[str] | None = None) -> int:
    arguments = parse(asked)
    os.environ.setdefault("LORALAB_HOME", str(arguments.place.absolute() / "home"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from benchmarks.gpu.plan import PLAN, chosen
    except ModuleNotFoundError as error:
        return nothing(arguments, ["box"], f"{sys.executable} has no package {error.name}")
    if arguments.rows:
        return child(arguments)
    try:
        names = chosen(arguments.parts)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    from benchmarks.gpu.box import no_gpu

    if arguments.device != "cpu" and (why := no_gpu()):
        return nothing(arguments, names, f"no GPU can be used: {why}")
    return measured(arguments, names, {name: PLAN[name].budget_s for name in names})


def parse(asked: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--again", action="store_true", help="do over what is done")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of all parts together")
    parser.add_argument("--device", default="cuda:0", help="cpu tries the measuring itself; its figures mean nothing")
    parser.add_argument("--tiny", action="store_true", help="next to nothing of everything, to try it")
    parser.add_argument("--place", type=Path, default=PLACE, help="where everything is kept")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(asked)


def nothing(arguments: argparse.Namespace, names: Sequence[str], why: str) -> int:
    """Figures of before are kept in before.json."""
    parts = {name: {"state": "failed", "why": why, "seconds": 0.0, "rows": []} for name in names}
    arguments.place.mkdir(parents=True, exist_ok=True)
    out = arguments.place / "result.json"
    with suppress(OSError, ValueError, AttributeError):
        if json.loads(out.read_text(encoding="utf-8")).get("machine"):
            out.replace(out.with_name("before.json"))
    text = json.dumps({"machine": {}, "parts": parts}, indent=2, ensure_ascii=False)
    out.write_text(text + "\n", encoding="utf-8")
    print(f"make gpu measured nothing: {why}", file=sys.stderr)
    return 1


def measured(arguments: argparse.Namespace, names: Sequence[str], budgets: dict[str, float]) -> int:
    from benchmarks.apart import Apart
    from benchmarks.parts import Part, is_right, run_parts, say_on_stderr, table

    own = [sys.executable, "-m", "benchmarks.gpu", "--device", arguments.device] + ["--tiny"] * arguments.tiny
    apart = Apart(
        lambda name, rows: [*own, "--rows", str(rows), name], arguments.place, time.monotonic() + arguments.seconds
    )
    parts = [Part(name, partial(apart.rows, name, budgets[name])) for name in names]
    arguments.place.mkdir(parents=True, exist_ok=True)
    out = arguments.place / "result.json"
    report = run_parts(parts, out, machine(arguments), say_on_stderr, again=arguments.again)
    print("\n".join(table(report)))
    print(f"\nwritten to {out}")
    return 0 if is_right(report) else 1


def child(arguments: argparse.Namespace) -> int:
    """One part in this process, its rows appended to the file as they come."""
    import torch

    from benchmarks.apart import append
    from benchmarks.gpu.plan import PLAN
    from benchmarks.gpu.sizes import FULL, TINY

    work = PLAN[arguments.parts[0]].work
    append(arguments.rows, work(torch.device(arguments.device), TINY if arguments.tiny else FULL))
    return 0


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """What figures belong to: those of other sources, or of another device, are not continued."""
    import torch

    digest = hashlib.sha256()
    for file in sorted({file for pattern in SOURCES for file in ROOT.glob(pattern) if file.is_file()}):
        if "__pycache__" not in file.parts and file.suffix != ".so":
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else arguments.device
    known = {"gpu": name, "torch": str(torch.__version__), "sources": digest.hexdigest()[:16]}
    return known | ({"sizes": "tiny"} if arguments.tiny else {})


if __name__ == "__main__":
    sys.exit(main())
