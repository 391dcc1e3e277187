"""How far a family is from transformers and PEFT: what the tests bound, and what benchmarks/parity.py records.

Each measure takes the directory of a checkpoint and the reference that wrote it, which it may use up.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from loralab_core.architecture.families import read_config
from loralab_core.inference.kv_cache import KVCache
from loralab_core.inference.reader import Reader
from loralab_core.lora import Adapter, LoadedModel, create_adapter, load_adapter, use_adapter
from loralab_core.lora.adapter import projections
from loralab_core.lora.peft_experts import as_peft_has_it, wrapped
from loralab_core.models import Decoder, load_decoder
from loralab_core.models.loading import DTYPES
from loralab_core.ops import linear_cross_entropy
from tests.models.checkpoints import logit_error
from tests.models.families import ids_for

CPU = torch.device("cpu")
ALIKE = 1e-4
PROMPT, SAID = 11, 40  # tokens of greedy text; together longer than the windows and than longrope's first list
ROWS, ROWS_OF_EXPERTS = 16, 256  # for bf16: a rounded score may choose another expert, which on few tokens is chance


def bf16_limit(has_experts: bool) -> float:
    """Of `bf16_ratio`, which is chance within about 2 %, and 4 % where tokens change experts."""
    return 1.1 if has_experts else 1.05


@torch.no_grad()
def float32_logits(directory: Path, theirs: PreTrainedModel) -> float:
    """max|Δ| / max|reference|, of a text read in one pass."""
    ids = ids_for(97)
    return logit_error(load_decoder(directory, "fp32", CPU)(ids), theirs(ids).logits)


@torch.no_grad()
def float32_logits_with_the_cache(directory: Path, theirs: PreTrainedModel) -> float:
    """The same, of a text read token by token behind a prompt: also where greedy text would only repeat itself."""
    ours, ids = load_decoder(directory, "fp32", CPU), ids_for(97, time=31)
    cache = KVCache(ours.config, ours.dtype, ours.device, batch=len(ids))
    parts = [ours.hidden(part, cache=cache) for part in ids.split([PROMPT] + [1] * (ids.shape[1] - PROMPT), 1)]
    return logit_error(ours.logits(torch.cat(parts, 1)), theirs(ids).logits)


@torch.no_grad()
def greedy_is_equal(directory: Path, theirs: PreTrainedModel) -> bool:
    prompt = ids_for(97, 1, PROMPT)
    said = greedy(directory, prompt[0].tolist(), SAID)
    if not any(rope.scaling and rope.scaling.kind == "longrope" for rope in read_config(directory).ropes):
        return said == chosen(theirs, prompt, said)
    how: dict[str, Any] = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}  # its lists change on the way
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=SAID, **how)
    return said == expected[0, PROMPT:].tolist()


@torch.no_grad()
def chosen(theirs: PreTrainedModel, prompt: Tensor, said: list[int]) -> list[int]:
    """The reference's choice behind `prompt` and each part of `said`, in one pass.

    It is `said` where that is the reference's greedy text, and only there: the first token that differs tells.
    """
    logits = theirs(torch.cat([prompt, torch.tensor([said])], 1)).logits
    found: list[int] = logits[0, prompt.shape[1] - 1 : -1].argmax(-1).tolist()
    return found


def greedy(directory: Path, prompt: list[int], count: int) -> list[int]:
    """The `count` tokens that follow, each from the cache of those before it."""
    reader = Reader(LoadedModel(load_decoder(directory, "fp32", CPU), None, directory, "fp32", CPU), [prompt])
    said: list[int] = []
    for _ in range(count):
        said.append(int(reader.logits().argmax()))
        reader.add(said[-1:])
    return said


def bf16_ratio(directory: Path, theirs: PreTrainedModel) -> float:
    """Our bf16 error over the reference's, both against the reference in float32, by the mean square."""
    return half_ratio(directory, theirs, "bf16")


@torch.no_grad()
def half_ratio(directory: Path, theirs: PreTrainedModel, base: str) -> float:
    """The same of any 16 bits."""
    ours = load_decoder(directory, base, CPU)
    ids = ids_for(97, rows=ROWS_OF_EXPERTS if ours.config.experts else ROWS)
    exact = theirs(ids).logits
    allowed = _rms(theirs.to(DTYPES[base])(ids).logits.float() - exact)
    return _rms(ours(ids) - exact) / allowed


def _rms(x: Tensor) -> float:
    return float(x.pow(2).mean().sqrt())


def lora_gradients(directory: Path, theirs: PreTrainedModel) -> float:
    """The largest error of a gradient, over A and B of every projection of every layer, routers and experts included.

    PEFT's adapter on PEFT's model against the same one read by us, through our own loss.
    """
    ours = load_decoder(directory, "fp32", CPU)
    reference = adapted(theirs, ours)
    reference.save_pretrained(directory / "adapter")
    found, expected = _our_gradients(ours, load_adapter(ours, directory / "adapter")), _their_gradients(reference)
    assert len(expected) == 2 * len(list(projections(ours.layers))), "a projection is left out"
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    return max(_error(found[name], expected[name], largest) for name in expected)


def _error(found: Tensor, expected: Tensor, largest: float) -> float:
    """max|Δ| / max|expected|; of a gradient that is nothing but rounding (a router's choice of one), / `largest`."""
    own = float(expected.abs().max())
    return float((found - expected).abs().max()) / (own if own > 1e-6 * largest else largest)


def adapted(theirs: PreTrainedModel, ours: Decoder) -> PeftModel:
    """With PEFT's own adapter on every projection that ours has, and B away from zero so that A has a gradient.

    Beside experts PEFT takes `gate_proj` for the experts' own and routers for no modules: these by their parameters.
    """
    settings = create_adapter(ours, rank=2, alpha=3.0).settings
    covered = create_adapter(ours, rank=2, alpha=3.0).layers
    apart = [f"{projection.path}.weight" for projection in projections(ours.layers) if projection.path not in covered]
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets),
        target_parameters=[*settings.parameters, *apart] or None,
        init_lora_weights=False,
        fan_in_fan_out=ours.config.transposed,
    )
    torch.manual_seed(0)
    return get_peft_model(theirs, config)


def _our_gradients(model: Decoder, adapter: Adapter) -> dict[str, Tensor]:
    """By PEFT's names of the parameters."""
    use_adapter(model, adapter)
    for tensor in adapter.parameters():
        tensor.requires_grad_(True)
    ids, config = ids_for(97), model.config
    hidden, labels = model.hidden(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    how = {"bias": model.head.bias, "logit_scale": config.logit_scale, "cap": config.logit_cap}
    linear_cross_entropy(hidden, model.head.weight, labels, **how).backward()
    found = {}
    for path, lora in adapter.layers.items():
        assert lora.a.grad is not None and lora.b.grad is not None
        for half, gradient in zip("AB", as_peft_has_it(lora.a.grad, lora.b.grad), strict=True):
            found[f"base_model.model.{wrapped(path, adapter.layers)}.lora_{half}.default.weight"] = gradient
    return found


def _their_gradients(model: PeftModel) -> dict[str, Tensor]:
    ids = ids_for(97)
    logits = model(ids).logits[:, :-1].flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum").backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
