"""The computer in half a line: where, on what, how full."""

from loralab_core.hardware.use import Use
from loralab_tui.widgets.progress import bar

WIDTH = 8
NOTICED = 0.01
"""Part of the memory: less than that comes and goes by itself, and an idle screen writes nothing."""


def differs(shown: Use, now: Use) -> bool:
    if len(shown.gpus) != len(now.gpus):
        return True
    pairs = [(shown.memory_used, now.memory_used, now.memory_total)]
    pairs += [(a.memory_used, b.memory_used, b.memory) for a, b in zip(shown.gpus, now.gpus, strict=True)]
    return any(abs(before - used) > NOTICED * total for before, used, total in pairs)


def machine_line(host: str, device: str, use: Use, room: int) -> str:
    """`device`: as the engine says ("cpu", "cuda:0"), or empty before there is one. As much as fits into `room`.

    A GPU is shown with the number it has in this computer, which other tools call it by.
    """
    name, used, total = device or "cpu", use.memory_used, use.memory_total
    if device.startswith("cuda") and use.gpus:
        index = int(device.partition(":")[2] or 0)
        gpu = use.gpus[min(index, len(use.gpus) - 1)]
        name, used, total = f"{gpu.name} {gpu.index}", gpu.memory_used, gpu.memory
    filled, rest = bar(used / total if total else 0, WIDTH)
    amount = f"{used / 1e9:.1f} of {total / 1e9:.0f} GB"
    variants = (f"{host} · {name} · memory {filled}{rest} {amount}", f"{name} {filled}{rest} {amount}", amount)
    return next((line for line in variants if len(line) <= room), "")
