"""How many parameters and how much arithmetic, from the configuration alone."""

from collections.abc import Iterable

from loralab_core.architecture.config import DecoderConfig

Shapes = dict[str, tuple[int, int]]  # by our module path: [out, in]


def attention_shapes(config: DecoderConfig) -> Shapes:
    hidden, query, kv = config.hidden_size, config.query_size, config.kv_size
    output = {"attention.output": (hidden, query)}
    if config.fused_qkv:
        return {"attention.qkv": (query + 2 * kv, hidden)} | output
    return {"attention.query": (query, hidden), "attention.key": (kv, hidden), "attention.value": (kv, hidden)} | output


def mlp_shapes(config: DecoderConfig, inner: int, path: str = "mlp") -> Shapes:
    hidden, down = config.hidden_size, {f"{path}.down": (config.hidden_size, inner)}
    if config.fused_gate_up:
        return {f"{path}.gate_up": (2 * inner, hidden)} | down
    gate = {f"{path}.gate": (inner, hidden)} if config.gated else {}
    return gate | {f"{path}.up": (inner, hidden)} | down


def projection_shapes(config: DecoderConfig, layer: int = 0) -> Shapes:
    """Every linear projection of a layer; of experts, those that every token goes through."""
    experts = config.experts_of(layer)
    if experts is None:
        return attention_shapes(config) | mlp_shapes(config, config.intermediate_size)
    shared = mlp_shapes(config, experts.shared_size, "mlp.shared") if experts.shared_size else {}
    return attention_shapes(config) | shared


def parameter_count(config: DecoderConfig) -> int:
    """All weights of the model; a tied head counts once."""
    ends = vocabulary_parameter_count(config) + _norm(config, config.hidden_size)
    ends += config.learned_positions * config.hidden_size
    ends += config.vocab_size if config.head_bias else 0
    return ends + sum(_layer_count(config, layer) for layer in range(config.layers))


def vocabulary_parameter_count(config: DecoderConfig) -> int:
    """Of the embedding, and of the head where it is another."""
    return config.vocab_size * config.hidden_size * (1 if config.tied_head else 2)


def _layer_count(config: DecoderConfig, layer: int) -> int:
    shapes = projection_shapes(config, layer)
    linear = sum(rows * columns for rows, columns in shapes.values())
    biases = sum(rows for path, (rows, _) in shapes.items() if _has_bias(config, path))
    return linear + biases + _layer_norms(config) + _expert_count(config, layer)


def _has_bias(config: DecoderConfig, path: str) -> bool:
    if path == "attention.output":
        return config.output_bias
    return config.qkv_bias if path.startswith("attention.") else config.mlp_bias


def _expert_count(config: DecoderConfig, layer: int) -> int:
    experts = config.experts_of(layer)
    return experts.count * config.hidden_size * (1 + 3 * experts.intermediate_size) if experts else 0  # 1: the router


def _layer_norms(config: DecoderConfig) -> int:
    before = (1 if config.residual == "shared" else 2) if config.pre_norm else 0
    count = before + (2 if config.post_norm else 0)
    widths = {"head": 2 * config.head_dim, "projection": config.query_size + config.kv_size}
    heads = _norm(config, widths[config.qk_norm]) if config.qk_norm else 0
    return count * _norm(config, config.hidden_size) + heads


def _norm(config: DecoderConfig, width: int) -> int:
    return 2 * width if config.norm == "layer" else width


def adapter_parameter_count(config: DecoderConfig, rank: int, targets: Iterable[str] | None = None) -> int:
    """Trainable weights of a LoRA of `rank` on the named projections of every layer, on all of them where None."""
    chosen = None if targets is None else set(targets)
    layers = (projection_shapes(config, layer) for layer in range(config.layers))
    return sum(
        rank * sum(shape) for shapes in layers for path, shape in shapes.items() if chosen is None or path in chosen
    )


def forward_flops_per_token(config: DecoderConfig, context: int) -> float:
    """Multiply-adds counted as two, for one token that attends to `context` others on average."""
    layers = (projection_shapes(config, layer).values() for layer in range(config.layers))
    linear = sum(rows * columns for shapes in layers for rows, columns in shapes)
    if (experts := config.experts) is not None:
        chosen = config.hidden_size * (experts.count + 3 * experts.active * experts.intermediate_size)
        linear += sum(experts.layers) * chosen
    attention = config.layers * 2 * config.query_size * context
    head = config.vocab_size * config.hidden_size
    return 2.0 * (linear + attention + head)
