"""How many parameters and how much arithmetic, from the configuration alone."""

from collections.abc import Iterable

from loralab_core.architecture.config import DecoderConfig

ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")
MLP = ("mlp.gate", "mlp.up", "mlp.down")


def projection_shapes(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """[out, in] of every linear projection of one layer, by our module path."""
    hidden, query, kv, inner = config.hidden_size, config.query_size, config.kv_size, config.intermediate_size
    return {
        "attention.query": (query, hidden),
        "attention.key": (kv, hidden),
        "attention.value": (kv, hidden),
        "attention.output": (hidden, query),
        "mlp.gate": (inner, hidden),
        "mlp.up": (inner, hidden),
        "mlp.down": (hidden, inner),
    }


def parameter_count(config: DecoderConfig) -> int:
    """All weights of the model; a tied head counts once."""
    shapes = projection_shapes(config)
    linear = sum(rows * columns for rows, columns in shapes.values())
    biased = (ATTENTION if config.attention_bias else ()) + (MLP if config.mlp_bias else ())
    layer = linear + sum(shapes[name][0] for name in biased) + 2 * config.hidden_size
    vocabulary = config.vocab_size * config.hidden_size * (1 if config.tied_head else 2)
    return config.layers * layer + vocabulary + config.hidden_size


def adapter_parameter_count(config: DecoderConfig, rank: int, targets: Iterable[str] = ATTENTION + MLP) -> int:
    """Trainable weights of a LoRA of `rank` on the named projections of every layer."""
    shapes = projection_shapes(config)
    return config.layers * sum(rank * sum(shapes[name]) for name in targets)


def forward_flops_per_token(config: DecoderConfig, context: int) -> float:
    """Multiply-adds counted as two, for one token that attends to `context` others on average."""
    linear = sum(rows * columns for rows, columns in projection_shapes(config).values())
    attention = 2 * config.query_size * context
    head = config.vocab_size * config.hidden_size
    return 2.0 * (config.layers * (linear + attention) + head)
