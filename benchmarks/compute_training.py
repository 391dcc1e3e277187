"""What training loses to products in 8 bits on a model of random weights: losses in every numeric class, in one run.

    python benchmarks/compute_training.py --config CONFIG.json [--steps 16] [--batch 2] [--out FILE.json]

NF4 weights of the shapes in CONFIG.json, a LoRA of rank 8 on every projection, and the same few windows of random ids
in every step, which it learns by heart. `final` is the mean loss of the last quarter of the steps.
"""

import argparse
import tempfile
from pathlib import Path

from report import command_line, machine, publish
from training_step import token_ids, write_model


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a config.json of the Llama family")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq-len", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        write_model(arguments.config, Path(directory))
        found = {compute: losses(Path(directory), compute, arguments) for compute in ("w4a16", "w4a8-grad", "w4a8")}
    quarter = max(1, arguments.steps // 4)
    final = {compute: sum(each[-quarter:]) / quarter for compute, each in found.items()}
    shapes = f"{arguments.config.stem}, {arguments.batch} x {arguments.seq_len}, rank 8, nf4"
    above = {compute: each / final["w4a16"] - 1 for compute, each in final.items() if compute != "w4a16"}
    report = {"machine": machine(), "shapes": shapes, "losses": found, "final": final, "above w4a16": above}
    publish(report, arguments.out)


def losses(directory: Path, compute: str, arguments: argparse.Namespace) -> list[float]:
    """Of every step."""
    import numpy as np

    from loralab_core.lora import load
    from loralab_core.lora.adapter import create_adapter
    from loralab_core.runs.config import TrainConfig
    from loralab_core.text.packing import Windows
    from loralab_core.text.pieces import Pieces
    from loralab_core.training.trainer import StepResult, Trainer

    lm = load(directory, "nf4", "cpu")
    ids = token_ids(arguments, lm.model.config.vocab_size)
    count, length = ids.shape
    starts, lengths = np.arange(count) * length, np.full(count, length)
    pieces = Pieces(ids.reshape(-1), np.ones(ids.size, np.uint8), starts, lengths, np.arange(count))
    windows = Windows(pieces, length, np.arange(count), np.arange(count + 1))
    config = TrainConfig(
        model="", corpus=("",), batch=count, seq_len=length, schedule="constant", lr=arguments.lr, compute=compute
    )
    trainer = Trainer(lm, config, windows, arguments.steps, create_adapter(lm.model, rank=8, alpha=16))
    found = []
    for _ in range(arguments.steps):
        *_, result = trainer.run_step()
        assert isinstance(result, StepResult)
        found.append(result.loss)
    return found


if __name__ == "__main__":
    main()
