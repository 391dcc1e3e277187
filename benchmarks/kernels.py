"""Our 4-bit products, optimiser and decoding against dense ones and against their peers, in one run.

    python benchmarks/kernels.py [--only rows products lora avx2 adam decode bytes] [--threads 2] [--out FILE.json]
                                 [--config CONFIG.json] [--llama-site DIR]

Which path multiplies is measured first, as before a run, and kept. Each peer's turn comes in every round; ratios are
those of the best times (above 1: ours is faster). Few rows meet weights that lie in memory, not in the cache. `decode`
takes a config.json of the Llama family, and compares with llama.cpp where the directory given has llama_cpp and gguf.
`avx2` runs in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from race import copies, race, ratios, turns
from report import command_line, machine, publish
from torch import Tensor

from loralab_core.ops import quant_linear
from loralab_core.ops.native.choice import table_in_use, use_table
from loralab_core.ops.native.library import native
from loralab_core.ops.native.measure import measure
from loralab_core.ops.quant_matmul import quant_matmul
from loralab_core.quant import QuantTensor, quantize

Report = dict[str, Any]
COLD_SHAPES = [(2048, 2048), (4096, 11008)]  # [out, in]
SMALL_SHAPES = [(576, 576), (1536, 576), (576, 1536)]  # SmolLM2-135M's
AVX2 = {
    "LORALAB_ISA": "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    measure(native())
    use_table(None)
    report: Report = {"machine": machine() | {"kernels": str(native())}, "table": table_in_use()}
    for name in arguments.only:
        print(name, file=sys.stderr, flush=True)
        report[name] = SECTIONS[name](arguments)
    publish(report, arguments.out)


def parse() -> argparse.Namespace:
    parser = command_line(__doc__)
    shown = [name for name in SECTIONS if name != "forced"]
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=shown, metavar="SECTION")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--config", help="a config.json of the Llama family, to decode with")
    parser.add_argument("--llama-site", help="a directory with the packages llama_cpp and gguf")
    return parser.parse_args()


def rows(_: argparse.Namespace) -> Report:
    """One row against a dense product and against reading the bytes; up to 16 against torch's own 4-bit product."""
    found = {}
    for shape in COLD_SHAPES:
        packed, dense = weights(shape, cold=True)
        torchs = {f"torch int4 g{group}": int4pack(shape, group) for group in (32, 64)}
        codes = [each.codes.view(torch.int64) for each in packed]
        for count in (1, 2, 4, 8, 16):
            x = normal(count, shape[1])
            works = {"nf4": turns(partial(quant_matmul, x), packed)}
            works |= {name: turns(partial(torch_int4, x), packs) for name, packs in torchs.items()}
            if count == 1:
                works["bf16"] = turns(partial(F.linear, x), dense)
                works["read"] = turns(torch.sum, codes)
            times = race(works)
            peers = tuple(name for name in works if name != "nf4")
            found[f"{named(shape)}, {count}"] = times | {"ratio": ratios(times, "nf4", peers)}
    return found


def products(_: argparse.Namespace) -> Report:
    """Many rows, both directions, both numeric classes, against dense bf16."""
    cases = [(shape, count) for shape in COLD_SHAPES for count in (512, 2048)]
    cases += [(shape, 2048) for shape in SMALL_SHAPES]
    return dict(product(*case) for case in cases)


def product(shape: tuple[int, int], count: int) -> tuple[str, Report]:
    packed, dense = weights(shape, cold=False)
    x, dy = normal(count, shape[1]), normal(count, shape[0])
    found: Report = {}
    for direction, each, transposed in (("forward", x, False), ("dX", dy, True)):
        works = {"bf16": turns(partial(torch.matmul, each), [one if transposed else one.t() for one in dense])}
        for compute in ("w4a16", "w4a8"):
            works[compute] = turns(partial(quant_matmul, each, compute=compute, transposed=transposed), packed)
        times = race(works)
        found[direction] = times | {"ratio": ratios(times, "w4a16", ("bf16",)) | ratios(times, "w4a8", ("bf16",))}
    return f"{named(shape)}, {count}", found


def lora(_: argparse.Namespace) -> Report:
    """Forward and backward with an adapter of rank 8, against bitsandbytes' NF4 with PEFT's LoRA."""
    out, width = shape = (2048, 2048)
    packed, _dense = weights(shape, cold=False)
    a, b = (torch.randn(*each).requires_grad_() for each in ((8, width), (out, 8)))
    x, dy = normal(512, width).requires_grad_(), normal(512, out)

    def step(compute: str, weight: QuantTensor) -> None:
        quant_linear(x, weight, None, (a, b, 2.0), compute).backward(dy)  # type: ignore[arg-type, no-untyped-call]

    works = {compute: turns(partial(step, compute), packed) for compute in ("w4a16", "w4a8-grad", "w4a8")}
    peer = peft_layer(shape)
    times = race(works | {"bitsandbytes + peft": lambda: peer(x).backward(dy)}, 8.0)
    return times | {
        "ratio": {key: value for name in works for key, value in ratios(times, name, ("bitsandbytes + peft",)).items()}
    }


def avx2(arguments: argparse.Namespace) -> Report:
    """`forced`, in a process that is held to AVX2 throughout."""
    command = [sys.executable, __file__, "--only", "forced", "--threads", str(arguments.threads)]
    done = subprocess.run(command, env=os.environ | AVX2, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode}


def forced(_: argparse.Namespace) -> Report:
    """512 rows of 2048² in both types, both directions, against the better of torch's bf16 and float32."""
    packed, dense = weights((2048, 2048), cold=False)
    found: Report = {"capability": torch.backends.cpu.get_cpu_capability()}
    x = normal(512, 2048)
    for direction, transposed in (("forward", False), ("dX", True)):
        works: dict[str, Callable[[], Any]] = {}
        for name, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
            typed = x.to(dtype)
            works[f"torch {name}"] = turns(
                partial(torch.matmul, typed), [(one if transposed else one.t()).to(dtype) for one in dense]
            )
            for compute in ("w4a16", "w4a8"):
                works[f"{compute} {name}"] = turns(
                    partial(quant_matmul, typed, compute=compute, transposed=transposed), packed
                )
        times = race(works, 8.0)
        best = min((f"torch {name}" for name in ("bf16", "float32")), key=lambda name: times[name]["min_us"])
        ours = [name for name in works if not name.startswith("torch")]
        found[direction] = times | {
            "ratio": {key: value for name in ours for key, value in ratios(times, name, (best,)).items()}
        }
    return found


def nbytes(_: argparse.Namespace) -> Report:
    return {named(shape): quantize(torch.randn(*shape), "nf4").nbytes / (shape[0] * shape[1]) for shape in COLD_SHAPES}


def adam(_: argparse.Namespace) -> Report:
    """100M float32 parameters; both optimisers move the same tensors."""
    from loralab_core.optim.adamw8bit import AdamW8bit

    tensors = [torch.randn(2048, 1024).requires_grad_() for _ in range(48)]
    for tensor in tensors:
        tensor.grad = torch.randn_like(tensor)
    fused = torch.optim.AdamW(tensors, lr=1e-4, fused=True)
    ours = AdamW8bit(tensors, lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    times = race({"8 bits": ours.step, "torch fused float32": fused.step}, 10.0)
    sizes = {
        "8 bits": sum(each.nbytes for state in ours.state.values() for each in state.values()),
        "torch fused float32": sum(each.nbytes for state in fused.state.values() for each in state.values()),
    }
    return times | {
        "parameters": sum(tensor.numel() for tensor in tensors),
        "state bytes": sizes,
        "state ratio": sizes["8 bits"] / sizes["torch fused float32"],
        "ratio": ratios(times, "8 bits", ("torch fused float32",)),
    }


def decode(arguments: argparse.Namespace) -> Report:
    from decoding import decoders, tokens_per_s

    if not arguments.config:
        return {"left out": "give --config CONFIG.json"}
    return tokens_per_s(decoders(arguments.config, arguments.llama_site, arguments.threads))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


def named(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def weights(shape: tuple[int, int], cold: bool) -> tuple[list[QuantTensor], list[Tensor]]:
    """NF4 and dense bf16 ones that take turns."""
    one = quantize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)) / 50, "nf4")
    dense = one.dequantize(torch.bfloat16)
    packed = [replace(one, codes=one.codes.clone(), scales=one.scales.clone()) for _ in range(copies(one.nbytes, cold))]
    return packed, [dense.clone() for _ in range(copies(dense.nbytes, cold))]


def int4pack(shape: tuple[int, int], group: int) -> list[tuple[Tensor, int, Tensor]]:
    """Torch's own 4-bit weights: packed codes, group, and scale and zero of each group in bf16."""
    out, width = shape
    codes = torch.ops.aten._convert_weight_to_int4pack_for_cpu(torch.randint(0, 16, shape, dtype=torch.int32), 1)
    scales = torch.full((width // group, out, 2), 0.01, dtype=torch.bfloat16)
    return [(codes.clone(), group, scales.clone()) for _ in range(copies(codes.nbytes + scales.nbytes))]


def torch_int4(x: Tensor, packed: tuple[Tensor, int, Tensor]) -> Tensor:
    y: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, *packed)
    return y


def peft_layer(shape: tuple[int, int]) -> torch.nn.Module:
    import bitsandbytes as bnb
    from peft import LoraConfig, get_peft_model

    layer = bnb.nn.Linear4bit(shape[1], shape[0], bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    layer.weight = bnb.nn.Params4bit((torch.randn(*shape) / 50).bfloat16(), requires_grad=False, quant_type="nf4")
    whole = torch.nn.Sequential(layer).to("cpu")
    return get_peft_model(whole, LoraConfig(r=8, lora_alpha=16, target_modules=["0"]))


SECTIONS = {
    "rows": rows,
    "products": products,
    "lora": lora,
    "avx2": avx2,
    "forced": forced,
    "bytes": nbytes,
    "adam": adam,
    "decode": decode,
}

if __name__ == "__main__":
    main()
