"""The decoder of DeepSeek-OCR from transformers' parts, which has it only inside a model that also sees.

Files are written as the Hub's have them: experts singly, and a config that says `use_mla: false`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import DeepseekOcr2TextConfig
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import (
    DeepseekOcr2TextModel,
    DeepseekOcr2TextPreTrainedModel,
)

from tests.models.checkpoints import SHAPE, shaken

SIZES = {"n_routed_experts": 6, "moe_intermediate_size": 24, "num_experts_per_tok": 2}


class DeepseekOcrText(DeepseekOcr2TextPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: DeepseekOcr2TextConfig):
        super().__init__(config)
        self.model = DeepseekOcr2TextModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, **how: Any) -> CausalLMOutputWithPast:
        how.pop("labels", None)
        out = self.model(input_ids=input_ids, **how)
        return CausalLMOutputWithPast(
            logits=self.lm_head(out.last_hidden_state), past_key_values=out.get("past_key_values")
        )

    def save_pretrained(self, place: Path, **_: Any) -> None:
        config = {**self.config.to_dict(), "model_type": "deepseek_vl_v2", "use_mla": False}
        kinds = config.pop("mlp_layer_types")
        config |= {"language_config": {"first_k_dense_replace": kinds.count("dense")}}
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text(json.dumps(config))
        save_file(_singly(self.state_dict(), self.config.tie_word_embeddings), place / "model.safetensors")


def _singly(state: dict[str, Tensor], tied: bool) -> dict[str, Tensor]:
    files = {name: tensor.clone() for name, tensor in state.items() if ".experts." not in name}
    if tied:
        del files["lm_head.weight"]
    for name, stack in state.items():
        if ".experts." not in name:
            continue
        module, _, kind = name.rpartition(".")
        for expert, weight in enumerate(stack):
            parts = zip(
                ("gate_proj", "up_proj") if kind == "gate_up_proj" else ("down_proj",),
                weight.chunk(2 if kind == "gate_up_proj" else 1),
                strict=True,
            )
            files |= {f"{module}.{expert}.{part}.weight": piece.clone() for part, piece in parts}
    return files


def deepseek(**changes: Any) -> DeepseekOcrText:
    config = DeepseekOcr2TextConfig(**SHAPE | SIZES | {"bos_token_id": 0, "eos_token_id": 1} | changes)
    torch.manual_seed(0)
    return shaken(DeepseekOcrText(config))  # type: ignore[no-any-return,arg-type]
