"""`loralab hardware`: processor, memory and accelerators, and what a run would use."""

import argparse
from typing import TYPE_CHECKING

from loralab_core.cli.main import Subparsers
from loralab_core.cli.terminal import print_json, size

if TYPE_CHECKING:
    from loralab_core.hardware.probe import Hardware


def add_parser(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("hardware", help="show processor, memory and accelerators")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import msgspec

    from loralab_core.hardware.devices import auto_device, half_of
    from loralab_core.hardware.probe import survey

    found = survey()
    choice = auto_device()
    half = half_of(choice.device)
    if arguments.json:
        print_json({**msgspec.to_builtins(found), **msgspec.to_builtins(choice), "half": half, "bf16": half == "bf16"})
        return 0
    for line in describe(found):
        print(line)
    for line in choice.unusable:
        print(f"              {line}")
    print(f"a run uses    {choice.device} ({choice.why}), {f'{half} for models worth it' if half else 'fp32'}")
    return 0


def describe(found: "Hardware") -> list[str]:
    cpu, memory = found.cpu, found.memory
    limit = " (limit of this container)" if memory.limited else ""
    lines = [
        f"processor     {cpu.name}, {cpu.cores} cores, {cpu.threads} threads",
        f"instructions  {' '.join(cpu.isa) or 'none of the known ones'}",
        f"memory        {size(memory.available)} free of {size(memory.total)}{limit}",
    ]
    for gpu in found.gpus:
        major, minor = gpu.capability
        said = f"{size(gpu.free)} free of {size(gpu.memory)}, capability {major}.{minor}"
        lines.append(f"GPU {gpu.index}         {gpu.name}, {said}")
        lines += [
            f"  instance    {part.name}, {size(part.free)} free of {size(part.memory)}" for part in gpu.parts or ()
        ]
    if found.apple_silicon:
        lines.append("GPU           Apple silicon (mps), shares the memory")
    elif not found.gpus:
        lines.append("GPU           none visible")
    torch = found.torch
    built = f"for CUDA {torch.cuda}" if torch and torch.cuda else "without CUDA"
    lines.append(f"torch         {torch.version}, built {built}" if torch else "torch         not installed")
    return lines
