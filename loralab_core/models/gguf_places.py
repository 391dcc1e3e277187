"""Where each tensor of a GGUF file belongs in a Decoder: one table of names, and a view wherever rows are reordered."""

from typing import NamedTuple

from torch import Tensor

from loralab_core.architecture.config import DecoderConfig

NAMES = {  # our module path → GGUF's, in every architecture
    "embedding": "token_embd",
    "positions": "position_embd",
    "layers.{}.attention_norm": "blk.{}.attn_norm",
    "layers.{}.attention.query": "blk.{}.attn_q",
    "layers.{}.attention.key": "blk.{}.attn_k",
    "layers.{}.attention.value": "blk.{}.attn_v",
    "layers.{}.attention.qkv": "blk.{}.attn_qkv",
    "layers.{}.attention.query_norm": "blk.{}.attn_q_norm",
    "layers.{}.attention.key_norm": "blk.{}.attn_k_norm",
    "layers.{}.attention.output": "blk.{}.attn_output",
    "layers.{}.attention_post_norm": "blk.{}.post_attention_norm",
    "layers.{}.mlp_norm": "blk.{}.ffn_norm",
    "layers.{}.mlp.gate": "blk.{}.ffn_gate",
    "layers.{}.mlp.up": "blk.{}.ffn_up",
    "layers.{}.mlp.gate_up": "blk.{}.ffn_up",
    "layers.{}.mlp.down": "blk.{}.ffn_down",
    "layers.{}.mlp.router": "blk.{}.ffn_gate_inp",
    "layers.{}.mlp_post_norm": "blk.{}.post_ffw_norm",
    "final_norm": "output_norm",
    "head": "output",
}
EXPERTS = {"gate_up": ("blk.{}.ffn_gate_exps", "blk.{}.ffn_up_exps"), "down": ("blk.{}.ffn_down_exps",)}
NO_WEIGHTS = ("rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight")  # read with the config
INTERLEAVED = ("llama", "mistral", "mixtral", "smollm3", "granite")  # model types whose q and k rows are reordered


class Place(NamedTuple):
    """A tensor of `shape` in the file; its elements, in their order, are those of `view` plus `offset`."""

    shape: tuple[int, ...]
    view: Tensor
    offset: float = 0.0

    def aminmax(self) -> tuple[Tensor, Tensor]:
        """Of what was put there."""
        return self.view.aminmax()


def stored_in_gguf(config: DecoderConfig, path: str, weight: Tensor, first: int = 0) -> dict[str, Place]:
    """GGUF tensor name → its place in our parameter `path`. Experts are always all of a layer."""
    module, _, leaf = path.rpartition(".")
    if weight.dim() == 3:
        return _experts(module, weight)
    return {f"{gguf_name(module)}.{leaf}": _place(config, module, weight)}


def gguf_name(module: str) -> str:
    """Our module path ("layers.3.attention.query") as GGUF calls it."""
    parts = module.split(".")
    if parts[0] == "layers":
        return NAMES[".".join(["layers", "{}", *parts[2:]])].format(parts[1])
    return NAMES[module]


def _experts(module: str, stack: Tensor) -> dict[str, Place]:
    """`stack` [experts, out, in]; the files keep gate and up apart."""
    _, layer, _, part = module.split(".")
    names = EXPERTS[part]
    views = stack.chunk(len(names), dim=1)
    return {
        f"{name.format(layer)}.weight": Place(tuple(view.shape), view) for name, view in zip(names, views, strict=True)
    }


def _place(config: DecoderConfig, module: str, parameter: Tensor) -> Place:
    shape = tuple(parameter.shape)
    if module.endswith("norm"):
        return Place(shape, parameter, config.norm_offset)  # Gemma's are stored as they are multiplied
    if config.model_type in INTERLEAVED and module.endswith(("attention.query", "attention.key")):
        return Place(shape, _pairs_apart(parameter, config.head_dim))
    if config.fused_qkv == "heads" and module.endswith("attention.qkv"):
        return Place(shape, _heads_apart(parameter, config))
    return Place(shape, parameter)


def _pairs_apart(parameter: Tensor, head_dim: int) -> Tensor:
    """[heads, head_dim / 2, 2, …]: llama.cpp turns neighbouring rows as a pair, we the two halves of a head."""
    return parameter.view(-1, 2, head_dim // 2, *parameter.shape[1:]).transpose(1, 2)


def _heads_apart(parameter: Tensor, config: DecoderConfig) -> Tensor:
    """[3, heads, head_dim, …]: all queries, all keys, all values, which we have by turns a head."""
    return parameter.view(config.heads, 3, config.head_dim, *parameter.shape[1:]).transpose(0, 1)
