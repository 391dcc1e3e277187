"""One LoRA training step, ours against transformers+peft: tokens per second and peak memory, in one run.

    python benchmarks/training_step.py --config CONFIG.json [--batch 4] [--seq-len 512] [--rounds 2] [--out FILE.json]

Both train the same random bf16 weights of the shapes in CONFIG.json, rank 8 on every projection, AdamW, the same ids;
each in a process of its own, in turn, so that a machine that drifts drifts for both. Not a test: nothing fails here.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from report import command_line, machine, publish

WARM_UP = 2


def main() -> None:
    arguments = parse()
    if arguments.peer:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as directory:
        write_model(arguments.config, Path(directory))
        found: dict[str, list[dict[str, float]]] = {"loralab": [], "peft": []}
        for _ in range(arguments.rounds):
            for peer, results in found.items():
                results.append(run_peer(peer, Path(directory), arguments))
                print(peer, results[-1], file=sys.stderr)
    report = summarise(found, arguments)
    publish(report, arguments.out)


def parse() -> argparse.Namespace:
    parser = command_line(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a config.json of the Llama family")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--steps", type=int, default=6, help="counted steps of each process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", choices=("loralab", "peft"), help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_model(config: Path, directory: Path) -> None:
    """Random bf16 weights of the configuration's shapes as a model directory."""
    import torch
    from safetensors.torch import save_file

    from loralab_core.architecture.families import read_config
    from loralab_core.models.decoder import Decoder
    from loralab_core.models.naming import checkpoint_tensors

    (directory / "config.json").write_text(config.read_text())
    shapes = read_config(directory)
    model = Decoder(shapes).to(torch.bfloat16)
    for parameter in model.parameters():
        parameter.data.normal_(0, shapes.initializer_range) if parameter.dim() > 1 else parameter.data.fill_(1.0)
    save_file(checkpoint_tensors(model), directory / "model.safetensors", metadata={"format": "pt"})


def run_peer(peer: str, model: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--peer", peer, "--model", str(model)]
    for name in ("config", "batch", "seq_len", "steps"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    step = (ours if arguments.peer == "loralab" else peft)(arguments)
    seconds, losses = [], []
    for _ in range(WARM_UP + arguments.steps):
        began = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    tokens = arguments.batch * arguments.seq_len
    return {
        "tokens_per_s": tokens / statistics.median(seconds[WARM_UP:]),
        "peak_memory_gib": peak / 2**30,
        "last_loss": losses[-1],
    }


def token_ids(arguments: argparse.Namespace, vocabulary: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.random.default_rng(1).integers(0, vocabulary, (arguments.batch, arguments.seq_len))


def ours(arguments: argparse.Namespace) -> Callable[[], float]:
    import numpy as np

    from loralab_core.lora import load
    from loralab_core.lora.adapter import create_adapter
    from loralab_core.runs.config import TrainConfig
    from loralab_core.text.packing import Windows
    from loralab_core.text.pieces import Pieces
    from loralab_core.training.trainer import StepResult, Trainer

    lm = load(arguments.model, "bf16", "cpu")
    ids = token_ids(arguments, lm.model.config.vocab_size)
    count, length = ids.shape
    pieces = Pieces(
        ids.reshape(-1),
        np.ones(ids.size, np.uint8),
        np.arange(count) * length,
        np.full(count, length),
        np.arange(count),
    )
    windows = Windows(pieces, length, np.arange(count), np.arange(count + 1))
    config = TrainConfig(model="", corpus=("",), batch=count, seq_len=length, schedule="constant", clip=None)
    trainer = Trainer(lm, config, windows, 1000, create_adapter(lm.model, rank=8, alpha=16))

    def step() -> float:
        *_, result = trainer.run_step()
        assert isinstance(result, StepResult)
        return result.loss

    return step


def peft(arguments: argparse.Namespace) -> Callable[[], float]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.bfloat16)
    base.config.use_cache = False
    model = get_peft_model(
        base, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    ).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, weight_decay=0.0)
    ids = torch.from_numpy(token_ids(arguments, base.config.vocab_size))

    def step() -> float:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return step


def summarise(found: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> dict[str, object]:
    median = {
        peer: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for peer, results in found.items()
    }
    return {
        "machine": machine(),
        "shapes": f"{arguments.config.stem}, {arguments.batch} x {arguments.seq_len}, rank 8, bf16",
        **median,
        "speed_ratio": median["loralab"]["tokens_per_s"] / median["peft"]["tokens_per_s"],
        "memory_ratio": median["loralab"]["peak_memory_gib"] / median["peft"]["peak_memory_gib"],
    }


if __name__ == "__main__":
    main()
