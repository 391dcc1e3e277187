"""That the tests here can fail: a change of a few letters in a kernel turns the self-test, or ThreadSanitizer, red."""

from collections.abc import Iterable
from contextlib import suppress

import pytest
import torch

from loralab_core.ops.metal import check
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.source import FILES, source
from tests.emulation import metal
from tests.metal.exact import fibers_run, kernels
from tests.metal.tapes import needs_thread_sanitizer, race_in, recorded

CPU = torch.device("cpu")
BARRIER = "    threadgroup_barrier(mem_flags::mem_threadgroup);\n"
# What is done, in which file, the letters before and after, and the tests that see it.
WRONG_RESULTS = {
    "no barrier behind the table": ("rows", BARRIER, "", ["rows"]),
    "no barrier before a piece is multiplied": (
        *("tiles", f"    {BARRIER}        multiply<FRAGMENTS, STEP", "        multiply<FRAGMENTS, STEP"),
        ["tiles"],
    ),
    "no barrier before the addend is multiplied": (
        *("tiles", f"    {BARRIER}        multiply<FRAGMENTS, PIECE", "        multiply<FRAGMENTS, PIECE"),
        ["tiles"],
    ),
    "no barrier before lines are written": (
        *("tiles", "        simdgroup_barrier(mem_flags::mem_threadgroup);\n        for (int i", "        for (int i"),
        ["tiles"],
    ),
    "no barrier behind partial sums": (
        *("norm", f"{BARRIER}    const float all = simd_sum", "    const float all = simd_sum"),
        ["rms_norm", "rms_norm_backward"],
    ),
    "no barrier behind partial maxima": (
        *("adam8bit", f"{BARRIER}    const uint all", "    const uint all"),
        ["adam8bit_"],
    ),
    "codes of a byte swapped": (
        *("rows", "2 * i] = table[eight >> (8 * i + 4) & 15]", "2 * i] = table[eight >> (8 * i) & 15]"),
        ["rows"],
    ),
    "rows of x swapped with columns": (
        *("tiles", "a.memory + (row + 8 * m) * a.stride + k", "a.memory + k * a.stride + row + 8 * m"),
        ["tiles"],
    ),
    "W not turned over": ("tiles", "ulong2(0, 0), true)", "ulong2(0, 0), false)", ["tiles"]),
    "a quarter of a tile in the place of another": (
        *("tiles", "column = int(simd) % 2", "column = int(simd) / 2"),
        ["tiles"],
    ),
    "step and offset swapped": ("dequantize", "offset + step * float", "step + offset * float", ["dequantize"]),
    "the scale of another group": ("dequantize", "* groups + column / group]);\n    }\n    float zero", "* groups]);\n    }\n    float zero", ["dequantize"]),
    "a zero-point forgotten": ("rows", "dot - zero * total[m]", "dot", ["rows"]),
    "a bias forgotten": ("tiles", "product.has_bias ? sum + bias[at] : sum", "sum", ["tiles"]),
    "a share of the largest of another moment": ("adam8bit", "square * (1.0f / max(of_square", "square * (1.0f / max(of_mean", ["adam8bit_"]),
    "one border too far": ("adam8bit", "borders[found + step - 1] >=", "borders[found + step - 1] >", ["adam8bit_"]),
    "halves of a pair swapped": ("rotary", "left * c - right * s", "right * c - left * s", ["rotary"]),
    "a slope without its gate": ("gate", "+ i]) * bent.slope", "+ i]) * bent.value", ["gated_backward"]),
    "a mean over one element less": ("norm", "partial, at) / float(width);", "partial, at) / float(width - 1);", ["rms_norm_backward"]),
    "a gradient that is not scaled": ("loss", "factor = scale / all", "factor = 1.0f / all", ["softmax_loss_"]),
    "a loss without the largest logit": ("loss", "log(all) + most - logit", "log(all) - logit", ["softmax_loss_"]),
}  # fmt: skip
RACES = {
    "pieces overwritten while others multiply them": (
        *("tiles", f"TRANSPOSED>(sums, a, b, row, column);\n    {BARRIER}", "TRANSPOSED>(sums, a, b, row, column);\n"),
        "tiles",
    ),
    "lines overwritten while others write them": (
        *("tiles", "        }\n        simdgroup_barrier(mem_flags::mem_threadgroup);\n", "        }\n"),
        "tiles",
    ),
    "partial sums overwritten while others read them": (
        *("loss", f"{BARRIER}    return all;\n}}\n\ninline float group_max", "    return all;\n}\n\ninline float group_max"),
        "softmax_loss_",
    ),
    "no barrier behind the table": ("rows", BARRIER, "", "rows"),
}


def changed(file: str, before: str, after: str) -> str:
    text = source(file)
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    return text.replace(before, after)


def failing(mutated: Kernels, names: Iterable[str]) -> list[str]:
    """Of the self-test, whichever way fibers run."""
    found = set[str]()
    for order in (0, 1, 2):
        with fibers_run(order):
            found |= {name for name in names if _why(mutated, name)}
    return sorted(found)


def _why(mutated: Kernels, name: str) -> str:
    with suppress(RuntimeError):
        return check.TESTS[name](mutated, CPU)
    return "it did not end"


def test_nothing_is_red_before_anything_is_changed() -> None:
    assert failing(kernels(), check.TESTS) == []


@pytest.mark.parametrize("mutation", WRONG_RESULTS)
def test_a_wrong_letter_turns_the_self_test_red(mutation: str) -> None:
    file, before, after, names = WRONG_RESULTS[mutation]
    text = changed(file, before, after)
    mutated = Kernels(lambda asked: metal.compile_shader(text if asked == source(file) else asked))
    assert failing(mutated, names) == sorted(names)


@needs_thread_sanitizer
@pytest.mark.parametrize("mutation", RACES)
def test_a_missing_barrier_is_a_race(mutation: str) -> None:
    file, before, after, name = RACES[mutation]
    assert "data race" in race_in([changed(file, before, after)], recorded(name))


@needs_thread_sanitizer
def test_no_kernel_races() -> None:
    assert race_in([source(file) for file in FILES], recorded(*check.TESTS)) == ""
