"""How much memory a training step takes, from the configuration and the settings alone.

What autograd keeps is counted tensor by tensor, as loralab_core/models saves them; what is alive for a moment only is
estimated from above. `tests/planning` compares the former with what PyTorch really saves.
"""

from dataclasses import dataclass

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.counts import adapter_parameter_count, parameter_count, projection_shapes
from loralab_core.planning.footprint import DENSE, STATE, WIDTH, figures_of, weight_bytes

FLOAT = 4  # bytes of a float32
QUERIES = 128  # whose scores are alive at once (loralab_core/ops/attention.py)
SCORES = 3  # tensors of their size in the backward pass
SLAB, GPU_SLAB = 32 << 20, 256 << 20  # bytes of logits alive at once (loralab_core/ops/cross_entropy.py)
NORM_COPIES = 3  # float32 ones of a layer's input while it is normed


@dataclass(frozen=True)
class StepSettings:
    """What of a run's settings decides the memory of its steps."""

    base: str  # a resolved one
    micro_batch: int
    seq_len: int
    half: bool = False  # whether activations have 16 bits where the base is quantised
    rank: int = 8
    full: bool = False  # trains all weights
    optimizer: str = "adamw"
    checkpoint_activations: bool = False
    gpu: bool = False

    @property
    def tokens(self) -> int:
        return self.micro_batch * self.seq_len

    @property
    def width(self) -> int:
        """Bytes of an activation."""
        if self.base in DENSE:
            return int(WIDTH[self.base])
        return 2 if self.half else FLOAT


def resident_bytes(config: DecoderConfig, settings: StepSettings) -> int:
    """What is held from step to step: the weights, what is trained, and its optimiser's state."""
    count, width = _trained(config, settings)
    own = 0 if settings.full else count * width
    return weight_bytes(figures_of(config), settings.base) + own + optimizer_bytes(config, settings)


def optimizer_bytes(config: DecoderConfig, settings: StepSettings) -> int:
    """The optimiser's state, which is made in the first step."""
    count, width = _trained(config, settings)
    state = STATE[settings.optimizer] * (width / FLOAT if settings.optimizer == "adamw" else 1)
    return int(count * state)


def step_bytes(config: DecoderConfig, settings: StepSettings) -> int:
    """What a step takes on top of that, at its highest: gradients and one micro-batch."""
    count, width = _trained(config, settings)
    layers = [_layer_numbers(config, layer, settings.rank) * settings.width for layer in range(config.layers)]
    if settings.checkpoint_activations:  # of each layer its input, and one layer whole
        kept = config.layers * config.hidden_size * settings.width + max(layers)
    else:
        kept = sum(layers)
    kept += 4 * config.hidden_size * settings.width  # behind the last layer: normed, chosen, and their gradients
    return int(count * width + settings.tokens * (kept + _moment(config, settings)) + _apart(config, settings))


def _trained(config: DecoderConfig, settings: StepSettings) -> tuple[int, int]:
    """(how many numbers are trained, bytes of each)."""
    if settings.full:
        return parameter_count(config), int(WIDTH[settings.base])
    return adapter_parameter_count(config, settings.rank), FLOAT


def _layer_numbers(config: DecoderConfig, layer: int, rank: int) -> float:
    """Numbers that autograd keeps for a token: what each operator of loralab_core/ops needs for its backward pass."""
    hidden, query, kv = config.hidden_size, config.query_size, config.kv_size
    numbers = 2.0 * hidden * config.pre_norm  # x of the norms before attention and MLP
    numbers += 2 * hidden * config.post_norm
    numbers += hidden + 2 * query + 2 * kv  # x of q, k and v; q, k, v and what attention gives
    numbers += query + kv if config.qk_norm else 0  # before they are normed
    numbers += config.heads  # log-sums
    numbers += hidden * (config.residual != "shared") + _inner_numbers(config, layer)  # x of the MLP
    return numbers + rank * len(projection_shapes(config, layer))


def _inner_numbers(config: DecoderConfig, layer: int) -> float:
    """Of an MLP: gate, up, and x of down; of experts those a token goes through, each with an x of its own."""
    parts = 3 if config.gated else 2
    experts = config.experts_of(layer)
    if experts is None:
        return parts * config.intermediate_size
    one = parts * experts.intermediate_size + 2 * config.hidden_size
    return experts.active * one + parts * experts.shared_size


def _moment(config: DecoderConfig, settings: StepSettings) -> float:
    """Bytes a token of what lives while one layer goes backwards: gradients, norms in float32, blocks of scores."""
    inner = config.experts.active * config.experts.intermediate_size if config.experts else 0
    widest = max(config.intermediate_size, inner, config.query_size + 2 * config.kv_size)
    gradients = (3 * widest + 2 * config.hidden_size) * settings.width
    scores = SCORES * config.heads * min(QUERIES, settings.seq_len) * FLOAT
    return gradients + NORM_COPIES * config.hidden_size * FLOAT + scores


def _apart(config: DecoderConfig, settings: StepSettings) -> float:
    """Bytes of what does not grow with the tokens: slabs of the loss, and one weight as it is multiplied."""
    slab = min(GPU_SLAB if settings.gpu else SLAB, settings.tokens * config.vocab_size * FLOAT)
    dense = 0
    if settings.base not in DENSE:
        shapes = [projection_shapes(config, layer).values() for layer in range(config.layers)]
        dense = max(rows * columns for each in shapes for rows, columns in each) * settings.width
    return 3 * slab + dense
