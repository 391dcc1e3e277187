"""What training loses to products in 8 bits on a model of random weights: losses in every numeric class, in one run.

    python benchmarks/compute_training.py --config CONFIG.json --tokenizer DIR --corpus TEXT [--steps 40] [--batch 2]
                                          [--seq-len 128] [--lr 1e-3] [--out FILE.json]

NF4 weights of the shapes in CONFIG.json and a LoRA of rank 8 on every projection, which learns what it can of a real
text. `final` is the mean loss of the last quarter of the steps, `validation` that of windows it never saw.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from report import command_line, machine, publish
from training_step import write_model

CLASSES = ("w4a16", "w4a8-grad", "w4a8")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a config.json of the Llama family")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a directory with its tokenizer.json")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq-len", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        model = Path(place, "model")
        shutil.copytree(arguments.tokenizer, model, copy_function=shutil.copyfile)
        model.chmod(0o755)
        write_model(arguments.config, model)
        runs = {compute: trained(model, Path(place, compute), compute, arguments) for compute in CLASSES}
    what = f"{arguments.config.stem}, {arguments.corpus.name}, {arguments.batch} x {arguments.seq_len}, rank 8, nf4"
    reference = runs["w4a16"]
    above = {
        compute: {name: run[name] / reference[name] - 1 for name in ("final", "validation")}
        for compute, run in runs.items()
        if compute != "w4a16"
    }
    publish({"machine": machine(), "what": what, "runs": runs, "above w4a16": above}, arguments.out)


def trained(model: Path, place: Path, compute: str, arguments: argparse.Namespace) -> dict[str, Any]:
    import loralab_core as ll

    config = ll.TrainConfig(
        model=str(model),
        corpus=(str(arguments.corpus),),
        run_dir=str(place),
        base="nf4",
        compute=compute,
        device="cpu",
        lr=arguments.lr,
        seed=0,
        steps=arguments.steps,
        batch=arguments.batch,
        seq_len=arguments.seq_len,
    )
    events = list(ll.train(config))
    losses = [event["loss"] for event in events if event["event"] == "step"]
    *_, validation = (event["loss"] for event in events if event["event"] == "eval")
    last = losses[-max(1, len(losses) // 4) :]
    return {"losses": losses, "final": sum(last) / len(last), "validation": validation}


if __name__ == "__main__":
    main()
