"""What a training run is asked to do: one frozen record, the same for commands, engine, UI and library."""

from typing import Annotated, Any, Literal

import msgspec

from loralab_core.errors import BadInput
from loralab_core.runs.numerics import QUANTISED, Base, Compute, check_compute

Positive = Annotated[int, msgspec.Meta(gt=0)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
PositiveReal = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Window = Annotated[int, msgspec.Meta(ge=2)]  # the first token of a window is never predicted

Mode = Literal["adapter", "full"]
Schedule = Literal["constant", "linear", "cosine"]
Optimizer = Literal["adamw", "adamw8bit", "adafactor"]


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a run; None means "decided when the run starts" and is resolved in `run.json`.

    Field names are the command line's (`--seq-len` is `seq_len`) and the keys of `--set` and `--config`.
    """

    model: str
    corpus: tuple[str, ...]
    base: Base = "auto"
    compute: Compute = "auto"
    mode: Mode = "adapter"
    from_adapter: str | None = None

    rank: Positive = 8
    alpha: PositiveReal = 16.0
    dropout: Share = 0.0
    targets: str = "all"  # "all", "attention", "mlp", or module names separated by commas

    seq_len: Window | None = None  # tokens of a window; None: 512, or the model's context where that is shorter
    batch: Positive = 8  # sequences per optimiser step
    micro_batch: Positive | None = None  # sequences per forward pass; None: as many as keep a pass short
    shrink_micro_batch: bool | None = None  # when memory runs out; None: where micro_batch is left open too
    packing: bool = True
    overlong: Literal["split", "cut"] = "split"
    prompt_loss: bool = False  # train on prompts of chat data too

    steps: Positive | None = None
    epochs: PositiveReal | None = None  # used where steps is None; one epoch where both are
    optimizer: Optimizer = "adamw"
    lr: PositiveReal = 2e-4
    schedule: Schedule = "cosine"
    warmup: Natural = 0
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: PositiveReal = 1e-8
    clip: PositiveReal | None = 1.0  # largest gradient norm

    val: Share = 0.02
    eval_every: Positive | None = None  # None: with every checkpoint
    save_every: Positive = 50
    keep: Positive = 2  # newest checkpoints kept, beside the best one

    prompts: tuple[str, ...] = ()  # answered by the base and at every checkpoint
    prompt_tokens: Positive = 48  # of each answer, at most

    checkpoint_activations: bool = False  # recompute layers in the backward pass: less memory, a third more time
    capture: bool = True  # on a GPU replay a step's kernels as one graph, where its shapes allow
    seed: Natural = 0
    device: str = "auto"
    deterministic: bool = False
    threads: Positive | None = None
    name: str | None = None
    run_dir: str | None = None


def config_from(settings: dict[str, Any]) -> TrainConfig:
    """A TrainConfig from untyped settings (numbers may be strings, as `--set` gives them).

    BadInput names the wrong one.
    """
    known = {field.name for field in msgspec.structs.fields(TrainConfig)}
    if unknown := sorted(set(settings) - known):
        raise BadInput(f"no setting is called {unknown[0]!r}; `loralab train --print-config` lists them")
    try:
        config = msgspec.convert(settings, TrainConfig, strict=False)
    except msgspec.ValidationError as error:
        what, _, name = str(error).partition(" - at `$.")
        name = name.strip("`").partition("[")[0]
        given = f"{name} = {settings[name]!r}" if name in settings else "setting"
        what = what.replace("`", "").replace("Expected", "expected").replace("Object missing", "missing")
        raise BadInput(f"{given} does not fit: {what}; `loralab train --help` explains") from None
    check_base(config, config.base)
    return config


def check_base(config: TrainConfig, base: str) -> None:
    """BadInput where what is asked cannot be done with a base in this number format."""
    if config.mode == "full" and base in QUANTISED:
        raise BadInput(f"weights in {base} cannot be trained themselves; use --mode adapter, or --base bf16")
    if config.mode == "full" and base == "fp16":
        raise BadInput(
            "weights in fp16 cannot be trained themselves: steps and squared gradients are mostly smaller than what it "
            "can hold; use --mode adapter, or --base fp32"
        )
    check_compute(config.compute, base)


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain JSON types, every field present."""
    built: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    return built
