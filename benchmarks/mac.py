"""Every Metal kernel on this Mac: compiled, tested against float64, measured against the Mac's own copy and product.

    make mac            (or: python -m benchmarks.mac [--out FILE.json] [--only PART …])

Ends with 1 where something is wrong or could not be done. A run that was cut short goes on where it was.
"""

import argparse
import platform
import secrets
import sys
from pathlib import Path

OUT = Path("build/mac.json")


def refusal() -> str:
    """Why this is no machine for it; empty on a Mac with a GPU of Apple's. Imports nothing that is not Python's own."""
    if sys.platform != "darwin":
        return f"make mac needs a Mac: this is {platform.system()}"
    if platform.machine() != "arm64":
        return f"make mac needs Apple silicon: this Mac's processor is {platform.machine()}"
    return ""


def main(asked: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="where the report is kept as JSON")
    parser.add_argument("--only", nargs="+", metavar="PART", help="some parts only")
    parser.add_argument("--check", action="store_true", help="say whether this machine is one for it, and end")
    arguments = parser.parse_args(asked)
    if why := refusal():
        print(why, file=sys.stderr)
        return 1
    return 0 if arguments.check else _prove(arguments)


def _prove(arguments: argparse.Namespace) -> int:
    import torch

    from benchmarks import metal_correct, metal_speed
    from benchmarks.parts import Part, is_right, run_parts, say_on_stderr, table
    from loralab_core.ops.metal.launch import Kernels
    from loralab_core.ops.metal.library import is_here, metal

    if not is_here() or not hasattr(torch.mps, "compile_shader"):
        print(f"make mac needs a torch that drives the GPU: torch {torch.__version__} does not", file=sys.stderr)
        return 1
    kernels, device, seed = Kernels(torch.mps.compile_shader), torch.device("mps"), secrets.randbits(31)
    timer = metal_speed.Timer(torch.mps.synchronize)
    parts = [
        Part("compile", lambda: metal_correct.compiled(torch.mps.compile_shader)),
        Part("self-test", lambda: metal_correct.self_test(kernels, device)),
        Part("against float64", lambda: metal_correct.against_float64(kernels, device, seed)),
        *metal_speed.parts(kernels, device, timer, metal_speed.FULL),
    ]
    chosen = [part for part in parts if not arguments.only or part.name in arguments.only]
    if unknown := set(arguments.only or ()) - {part.name for part in parts}:
        print(f"no part is called {', '.join(unknown)}; there are {', '.join(p.name for p in parts)}", file=sys.stderr)
        return 2
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"mac": _chip(), "macos": platform.mac_ver()[0], "torch": str(torch.__version__), "kernels": str(metal())}
    report = run_parts(chosen, arguments.out, machine, say_on_stderr)
    print("\n".join(table(report)))
    print(f"\nwritten to {arguments.out}")
    return 0 if is_right(report) else 1


def _chip() -> str:
    from loralab_core.hardware.probe import find_cpu

    return find_cpu().name


if __name__ == "__main__":
    sys.exit(main())
