"""That the tests here can fail: a change of a few letters in a kernel turns the self-test, or ThreadSanitizer, red."""

from collections.abc import Iterable

import pytest
import torch

from loralab_core.ops.metal import check
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.source import FILES, source
from tests.emulation import metal
from tests.metal.exact import fibers_run, kernels
from tests.metal.tapes import TESTS, kernels_on, needs_thread_sanitizer, race_in, recorded

CPU = torch.device("cpu")
EVERYTHING = tuple(check.TESTS)
BARRIER = "    threadgroup_barrier(mem_flags::mem_threadgroup);\n"
WRONG_RESULTS = {
    "no barrier behind the table": ("rows", BARRIER, "", ["one by rows"]),
    "no barrier before a piece is multiplied": (
        *("tiles", f"    {BARRIER}        multiply<FRAGMENTS, STEP", "        multiply<FRAGMENTS, STEP"),
        ["one by tiles"],
    ),
    "no barrier before lines are written": (
        *("tiles", "        simdgroup_barrier(mem_flags::mem_threadgroup);\n        for (int i", "        for (int i"),
        ["one by tiles"],
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
        ["one by rows"],
    ),
    "rows of x swapped with columns": (
        *("tiles", "a.memory + (row + 8 * m) * a.stride + k", "a.memory + k * a.stride + row + 8 * m"),
        ["one by tiles"],
    ),
    "W not turned over": ("tiles", "ulong2(0, 0), true)", "ulong2(0, 0), false)", ["one by tiles"]),
    "a quarter of a tile in the place of another": (
        *("tiles", "column = int(simd) % 2", "column = int(simd) / 2"),
        ["one by tiles"],
    ),
    "step and offset swapped": ("dequantize", "offset + step * float", "step + offset * float", ["dequantize"]),
    "the scale of another group": (
        *("dequantize", "scales[(ulong)row * groups + column / group]", "scales[(ulong)row * groups]"),
        ["dequantize"],
    ),
    "a zero-point forgotten": ("rows", "dot - zero * total[m]", "dot", ["one by rows"]),
    "a bias forgotten": ("tiles", "product.has_bias ? sum + bias[at] : sum", "sum", ["one by tiles"]),
    "the largest of another moment": (
        *("adam8bit", "square * (1.0f / max(of_square", "square * (1.0f / max(of_mean"),
        ["adam8bit_"],
    ),
    "one border too far": ("adam8bit", "[found + step - 1] >= share", "[found + step] >= share", ["adam8bit_"]),
    "halves of a pair swapped": ("rotary", "left * c - right * s", "right * c - left * s", ["rotary"]),
    "a slope without its gate": ("gate", "+ i]) * bent.slope", "+ i]) * bent.value", ["gated_backward"]),
    "a mean over one element less": (
        *("norm", "partial, at) / float(width);", "partial, at) / float(width - 1);"),
        ["rms_norm_backward"],
    ),
    "a gradient that is not scaled": ("loss", "0.0f : scale / all", "0.0f : 1.0f / all", ["softmax_loss_"]),
    "a loss without the largest logit": ("loss", "log(all) + most - logit", "log(all) - logit", ["softmax_loss_"]),
}
RACES = {
    "pieces overwritten while others multiply them": (
        *("tiles", f"TRANSPOSED>(sums, a, b, row, column);\n    {BARRIER}", "TRANSPOSED>(sums, a, b, row, column);\n"),
        "one by tiles",
    ),
    "lines overwritten while others write them": (
        *("tiles", "        }\n        simdgroup_barrier(mem_flags::mem_threadgroup);\n", "        }\n"),
        "one by tiles",
    ),
    "partial sums overwritten while others read them": (
        *(
            "loss",
            f"{BARRIER}    return all;\n}}\n\ninline float group_max",
            "    return all;\n}\n\ninline float group_max",
        ),
        "softmax_loss_",
    ),
}


def changed(file: str, before: str, after: str) -> str:
    text = source(file)
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    return text.replace(before, after)


def failing(mutated: Kernels, names: Iterable[str]) -> list[str]:
    """Of these tests, whichever way fibers run."""
    found = set[str]()
    for order in (0, 1, 2):
        with fibers_run(order):
            found |= {name for name in names if TESTS[name](mutated, CPU)}
    return sorted(found)


def test_nothing_is_red_before_anything_is_changed() -> None:
    assert failing(kernels(), EVERYTHING) == []


@pytest.mark.parametrize("mutation", WRONG_RESULTS)
def test_a_wrong_letter_turns_the_self_test_red(mutation: str) -> None:
    file, before, after, names = WRONG_RESULTS[mutation]
    text = changed(file, before, after)
    mutated = Kernels(lambda asked: metal.compile_shader(text, kernels_on(recorded(*names))))
    assert failing(mutated, names) == sorted(names)


@needs_thread_sanitizer
@pytest.mark.parametrize("mutation", RACES)
def test_a_missing_barrier_is_a_race(mutation: str) -> None:
    file, before, after, name = RACES[mutation]
    assert "data race" in race_in([changed(file, before, after)], recorded(name))


@needs_thread_sanitizer
def test_no_kernel_races() -> None:
    assert race_in([source(file) for file in FILES], recorded(*EVERYTHING)) == ""
