"""The reference: transformers + peft on our batches, from our initial adapter."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from loralab_core.text.packing import Batch


def open_with_peft(model_dir: Path, adapter_dir: Path, dtype: torch.dtype = torch.float32) -> Any:
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, attn_implementation="eager")
    return PeftModel.from_pretrained(base, adapter_dir, is_trainable=True).train()


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """Mean over the trained positions, documents kept apart by an explicit mask."""
    document = torch.from_numpy(batch.document)
    same = document[:, :, None] == document[:, None, :]
    seen = same & torch.ones_like(same).tril()
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    logits = model(
        input_ids=torch.from_numpy(batch.ids), attention_mask=mask, position_ids=torch.from_numpy(batch.positions)
    ).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.labels).flatten())
