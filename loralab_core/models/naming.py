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
        module, _, leaf = path.rpartition(".")
        place = parameter.data
        if place.dim() == 3:
            named |= _experts(model.config, module, place)
        else:
            is_turned = model.config.transposed and _is_projection(module, leaf)
            named[f"{checkpoint_name(model.config, module)}.{leaf}"] = place.t() if is_turned else place
    return named


def checkpoint_name(config: DecoderConfig, module: str) -> str:
    """Our module path ("layers.3.attention.query") as the checkpoint calls it."""
    parts = module.split(".")
    if parts[0] == "layers":
        return config.names[".".join(["layers", "{}", *parts[2:]])].format(parts[1])
    return config.names[module]


def _is_projection(module: str, leaf: str) -> bool:
    return leaf == "weight" and module.startswith("layers.") and not module.endswith("_norm")


def _experts(config: DecoderConfig, module: str, stack: Tensor) -> dict[str, Tensor]:
    """`stack` [experts, out, in] of our layers.N.mlp.gate_up or layers.N.mlp.down."""
    _, layer, inner = module.split(".", 2)
    names = [config.names[f"layers.{{}}.mlp.experts.{{}}.{part}"] for part in STACKED[inner]]
    places = [each.chunk(len(names)) for each in stack]  # of each expert: gate and up, or down
    return {
        f"{name.format(layer, expert)}.weight": place
        for expert, parts in enumerate(places)
        for name, place in zip(names, parts, strict=True)
    }
