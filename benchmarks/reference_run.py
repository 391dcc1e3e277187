"""The same fine-tuning by us and by transformers+peft: same windows, order, held-out windows and initial adapter.

    python benchmarks/reference_run.py --model DIR --corpus FILE [--steps 120] [--out FILE.json]

Prints both validation losses before and after, and the largest difference of the training loss on the way. The
settings are those of a quick first run: rank 8, alpha 16, lr 2e-3, constant, batch 8, windows of 256.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import command_line, machine, publish

SEQ_LEN, BATCH, LR = 256, 8, 2e-3


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        report = compare(arguments, Path(place))
    publish(report, arguments.out)


def compare(arguments: argparse.Namespace, place: Path) -> dict[str, Any]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from loralab_core.lora import create_adapter, load, save_adapter
    from loralab_core.models.loss import evaluate_windows
    from loralab_core.runs.config import TrainConfig
    from loralab_core.text.dataset import prepare
    from loralab_core.text.packing import order, pack
    from loralab_core.training.trainer import StepResult, Trainer

    lm = load(arguments.model, "fp32", "cpu")
    data = prepare([str(arguments.corpus)], lm.text(), seq_len=SEQ_LEN, val=0.02, cache=place / "cache")
    training, held_out = pack(data.train, SEQ_LEN), pack(data.validation, SEQ_LEN)
    config = TrainConfig(
        model="", corpus=("",), batch=BATCH, micro_batch=BATCH, seq_len=SEQ_LEN, lr=LR, schedule="constant"
    )
    adapter = create_adapter(lm.model, rank=8, alpha=16)
    save_adapter(adapter, place / "start", "base")
    base = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, place / "start", is_trainable=True).train()
    trainable = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=LR, weight_decay=0.0)

    def our_validation() -> float:
        with lm.using(adapter):
            pieces = list(evaluate_windows(lm.model, held_out, np.arange(len(held_out)), BATCH))
        return sum(loss for loss, _ in pieces) / sum(count for _, count in pieces)

    def their_loss(batch: Any) -> torch.Tensor:
        logits = theirs(input_ids=torch.from_numpy(batch.ids)).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.labels).flatten())

    def their_validation() -> float:
        batches = [held_out.batch([window]) for window in range(len(held_out))]
        with torch.no_grad():
            total = sum(float(their_loss(batch)) * batch.trained for batch in batches)
        return total / sum(batch.trained for batch in batches)

    trainer = Trainer(lm, config, training, arguments.steps, adapter)
    before = (our_validation(), their_validation())
    differences = []
    for step in range(1, arguments.steps + 1):
        *_, ours = trainer.run_step()
        assert isinstance(ours, StepResult)
        loss = their_loss(training.batch(order(len(training), step, BATCH, config.seed)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        differences.append(abs(ours.loss - loss.item()))
    after = (our_validation(), their_validation())
    return {
        "machine": machine(),
        "steps": arguments.steps,
        "held_out_windows": len(held_out),
        "validation_loss_before": {"loralab": before[0], "peft": before[1]},
        "validation_loss_after": {"loralab": after[0], "peft": after[1]},
        "largest_training_loss_difference": {"first_20_steps": max(differences[:20]), "all": max(differences)},
    }


if __name__ == "__main__":
    main()
