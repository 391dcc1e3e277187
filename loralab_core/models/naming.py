"""What a checkpoint calls the parameters of a Decoder."""

from torch import Tensor

from loralab_core.architecture.config import DecoderConfig
from loralab_core.models.decoder import Decoder

STACKED = {"mlp.gate_up": ("gate", "up"), "mlp.down": ("down",)}  # our tensor of all experts: the files' of each one


def checkpoint_tensors(model: Decoder) -> dict[str, Tensor]:
    """Checkpoint tensor name → its place in our parameters: a view where files are transposed or hold experts singly.

    A tied head is filled through the embedding.
    """
    named: dict[str, Tensor] = {}
    for path, parameter in model.named_parameters(remove_duplicate=True):
        named |= stored_as(model.config, path, parameter.data)
    return named


def stored_as(config: DecoderConfig, path: str, weight: Tensor, first: int = 0) -> dict[str, Tensor]:
    """Checkpoint tensor name → its place in our parameter `path`; of experts `weight` holds those from `first` on."""
    module, _, leaf = path.rpartition(".")
    if weight.dim() == 3:
        return _experts(config, module, weight, first)
    is_turned = config.transposed and _is_projection(module, leaf)
    return {f"{checkpoint_name(config, module)}.{leaf}": weight.t() if is_turned else weight}


def checkpoint_name(config: DecoderConfig, module: str) -> str:
    """Our module path ("layers.3.attention.query") as the checkpoint calls it."""
    parts = module.split(".")
    if parts[0] == "layers":
        return config.names[".".join(["layers", "{}", *parts[2:]])].format(parts[1])
    return config.names[module]


def _is_projection(module: str, leaf: str) -> bool:
    return leaf == "weight" and module.startswith("layers.") and not module.endswith("_norm")


def _experts(config: DecoderConfig, module: str, stack: Tensor, first: int) -> dict[str, Tensor]:
    """`stack` [experts, out, in] of our layers.N.mlp.gate_up or layers.N.mlp.down."""
    _, layer, inner = module.split(".", 2)
    names = [config.names[f"layers.{{}}.mlp.experts.{{}}.{part}"] for part in STACKED[inner]]
    places = [each.chunk(len(names)) for each in stack]  # of each expert: gate and up, or down
    return {
        f"{name.format(layer, expert)}.weight": place
        for expert, parts in enumerate(places, first)
        for name, place in zip(names, parts, strict=True)
    }
