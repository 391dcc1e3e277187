"""Where the time of a step goes: its kernels by their share, and how much of it nothing ran at all."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

AT_MOST = 12  # kernels that are named
KINDS = (  # the first that a kernel's name holds says what it is for
    ("attention", ("flash", "fmha", "attention", "sdpa")),
    ("ours", ("loralab",)),
    ("dense products", ("gemm", "cutlass", "nvjet", "gemv", "splitk", "aten::mm", "aten::addmm", "aten::bmm")),
    ("copies", ("memcpy", "memset", "copy", "fill", "cat")),
    ("sums and norms", ("reduce", "norm", "softmax", "aten::sum")),
    ("element by element", ("elementwise", "vectorized", "foreach", "multi_tensor", "aten::mul", "aten::add")),
)


def where_time_goes(step: Callable[[], Any], device: torch.device, seconds: float) -> dict[str, Any]:
    """Shares are of all kernels' time; `busy` is that time as a share of `seconds`, a step without the profiler."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as taken:
        step()
        if on_gpu:
            torch.cuda.synchronize(device)
    return summary(_kernels(taken.events(), on_gpu), seconds * 1e6)


def _kernels(events: Any, on_gpu: bool) -> Iterable[tuple[str, float]]:
    """(name, microseconds) of each; on a CPU, of each operator without those it calls."""
    for event in events:
        if not on_gpu:
            yield event.name, event.self_cpu_time_total
        elif event.device_type == torch.autograd.DeviceType.CUDA and not getattr(event, "is_user_annotation", False):
            yield event.name, event.time_range.elapsed_us()


def summary(kernels: Iterable[tuple[str, float]], passed: float) -> dict[str, Any]:
    """`passed`: microseconds of the step."""
    times: dict[str, list[float]] = {}
    for name, microseconds in kernels:
        times.setdefault(name, []).append(microseconds)
    sums = {name: sum(each) for name, each in times.items()}
    whole = sum(sums.values()) or 1.0
    kinds: dict[str, float] = {}
    for name, total in sums.items():
        kinds[kind_of(name)] = kinds.get(kind_of(name), 0.0) + total / whole
    longest = sorted(sums, key=sums.__getitem__, reverse=True)[:AT_MOST]
    return {
        "step_us": round(passed),
        "busy": round(whole / passed, 3),
        "launches": sum(map(len, times.values())),
        "kinds": {kind: round(share, 4) for kind, share in sorted(kinds.items(), key=lambda each: -each[1])},
        "kernels": [
            {"name": name[:160], "share": round(sums[name] / whole, 4), "calls": len(times[name])} for name in longest
        ],
    }


def in_words(summed: dict[str, Any]) -> str:
    """A line for the table."""
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in summed["kinds"].items() if share >= 0.02)
    return f"busy {summed['busy']:.0%} of {summed['step_us'] / 1e3:,.0f} ms, {summed['launches']:,} launches: {shares}"


def kind_of(name: str) -> str:
    low = name.lower()
    return next((kind for kind, words in KINDS if any(word in low for word in words)), "others")
