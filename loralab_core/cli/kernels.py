"""`loralab kernels`: which compiled kernels run here, whether they passed their self-test, and which path is chosen."""

import argparse
from itertools import groupby
from typing import TYPE_CHECKING, Any

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json, say

if TYPE_CHECKING:
    from loralab_core.ops.native.library import Native


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("kernels", help="show which compiled kernels run, and test them")
    parser.add_argument("--bench", action="store_true", help="measure which path wins at which size, and keep that")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import torch

    from loralab_core.ops.metal.library import is_here, metal
    from loralab_core.ops.native import choice, measure
    from loralab_core.ops.native.library import PATHS, native

    active, gpu = native(say), metal(say) if is_here() else None
    cuda = [gpu_facts(number, arguments.bench) for number in range(torch.cuda.device_count())]
    if arguments.bench and active.library:
        say("measuring; half a minute, best with nothing else running")
        measure.measure(active, dense=True)
        choice.use_table(None)
    found = measure.kept_measurement(active) if active.library else None
    facts: dict[str, Any] = {
        "isa": active.isa,
        "library": str(active.library) if active.library else None,
        "threads": torch.get_num_threads(),
        "paths": {name: name in active.paths for name in PATHS},
        "notes": list(active.notes),
        "measured": found is not None,
        "table": choice.table_in_use(),
        "microseconds": found.microseconds if found else {},
        "cuda": cuda,
        "metal": {"operators": gpu.operators, "paths": gpu.paths, "notes": gpu.notes} if gpu else None,
    }
    if arguments.json:
        print_json(facts)
    else:
        of_gpus = [line for each in cuda for line in describe_gpu(each)]
        for line in [*describe(active, facts), *of_gpus, *describe_metal(facts["metal"])]:
            print(line)
    return 0


def describe(active: "Native", facts: dict[str, Any]) -> list[str]:
    """For a person. Ratios are times of the dense product by those of the chosen path."""
    if active.library is None:
        return ["kernels       none; PyTorch's own operators"]
    lines = [
        f"kernels       {active.isa}, {facts['threads']} threads",
        f"passed        {', '.join(active.paths) or 'none'}",
        f"library       {active.library}",
        f"table         {'measured' if facts['measured'] else 'fixed (`loralab kernels --bench` measures)'}",
    ]
    return lines + _table(facts["table"], facts["microseconds"])


def _table(table: dict[str, list[str]], microseconds: dict[str, list[dict[str, float]]]) -> list[str]:
    lines = []
    for name, paths in table.items():
        lines.append(f"  {name:28} {_spans(paths)}")
        if ratios := _ratios(paths, microseconds.get(name, [])):
            lines.append(f"  {'':28} against dense: {ratios}")
    return lines


def gpu_facts(number: int, bench: bool) -> dict[str, Any]:
    """Of an NVIDIA GPU, as torch numbers them; its kernels are compiled and tried where they were not."""
    from loralab_core.ops.native.choice_gpu import measure_gpu
    from loralab_core.ops.native.gpu import native_gpu
    from loralab_core.ops.native.measure_gpu import file_of, read

    found = native_gpu(number, say)
    if bench and found.library:
        say(f"measuring {found.name}; some seconds, best with nothing else running")
        measure_gpu(number)
    table, times = read(file_of(found.library, found.target, found.name)) if found.library else ({}, {})
    return {
        "device": f"cuda:{number}",
        "name": found.name,
        "target": f"sm_{found.target}",
        "library": str(found.library) if found.library else None,
        "paths": found.paths,
        "operators": found.operators,
        "notes": found.notes,
        "table": table,
        "microseconds": times,
    }


def describe_gpu(facts: dict[str, Any]) -> list[str]:
    own = f"products by {', '.join(facts['paths'])}; {', '.join(facts['operators'])}"
    lines = [f"{facts['device']:13} {facts['name']}, {facts['target']}: {own if facts['library'] else 'PyTorch alone'}"]
    return lines + _table(facts["table"], facts["microseconds"])


def describe_metal(facts: dict[str, Any] | None) -> list[str]:
    """Of a Mac's GPU; nothing elsewhere."""
    if facts is None:
        return []
    products = f"; products by {', '.join(facts['paths'])}" if facts["paths"] else ""
    return [f"Metal         {', '.join(facts['operators']) or 'none'}{products}"]


def _spans(paths: list[str]) -> str:
    """ "rows up to 16, then bf16"."""
    said, bucket = [], 0
    for path, run in groupby(paths):
        bucket += len(list(run))
        said.append(f"{path} up to {1 << bucket - 1}")
    return ", ".join([*said[:-1], f"{'then ' if said[1:] else ''}{paths[-1]}"])


def _ratios(paths: list[str], microseconds: list[dict[str, float]]) -> str:
    """ "4.2 ×" for each measured number of rows that has a dense time."""
    return ", ".join(
        f"{1 << bucket}: {times['dense'] / times[path]:.1f} ×"
        for bucket, (path, times) in enumerate(zip(paths, microseconds, strict=False))
        if "dense" in times and path in times
    )
