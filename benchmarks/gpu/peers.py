"""transformers and peft as they are installed on the box, on random 16-bit weights of the same shapes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.half import half
from benchmarks.gpu.sizes import Sizes


def causal_model(config: dict[str, Any], device: torch.device) -> Any:
    """In 16 bits, with the attention that transformers chooses. Raises ImportError."""
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {name: value for name, value in config.items() if name != "model_type"}
    with torch.device(device):
        how = {"dtype": half(device)}
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **fields), **how)


def training_step(config: dict[str, Any], device: torch.device, sizes: Sizes, ids: np.ndarray) -> Callable[[], float]:
    """A LoRA on every projection, AdamW in one kernel where there is one; gives the loss. Raises ImportError."""
    from peft import LoraConfig, get_peft_model

    base = causal_model(config, device)
    base.config.use_cache = False
    how = LoraConfig(r=sizes.rank, lora_alpha=2 * sizes.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, how).train()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0, fused=device.type == "cuda")
    placed = torch.from_numpy(ids).to(device)

    def step() -> float:
        loss = model(input_ids=placed, labels=placed).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def tokens(config: dict[str, Any], device: torch.device, prompt: list[int]) -> Iterator[int]:
    """The likeliest token, again and again. Raises ImportError."""
    model = causal_model(config, device).eval()
    ids, past = torch.tensor([prompt], device=device), None
    while True:
        with torch.no_grad():
            out = model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
        ids, past = out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values
        yield int(ids)


def reason(error: Exception) -> str:
    """In a line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
