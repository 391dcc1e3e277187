"""An opened model: the decoder, its tokenizer and the adapters resident on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config, read_config, stored_base
from loralab_core.catalog.hub import resolve_model
from loralab_core.device_memory import device_memory, give_back, in_words
from loralab_core.errors import BadInput, OutOfMemory
from loralab_core.hardware.devices import half_of, resolve_base, resolve_device
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.lora.adapter import Adapter, use_adapter
from loralab_core.lora.peft_files import load_adapter
from loralab_core.models.decoder import Decoder
from loralab_core.models.loading import Progress, load_decoder
from loralab_core.ops import Compute
from loralab_core.planning.footprint import figures_of, weight_bytes
from loralab_core.planning.remedies import bases_that_fit
from loralab_core.runs.numerics import check_compute
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.tokenizer_files import has_tokenizer

DEFAULT_WINDOW = 512


@dataclass
class LoadedModel:
    """`lm.model(ids)` → logits; `attach` makes an adapter resident, `use` switches to it or (None) to the base."""

    model: Decoder
    tokenizer: Tokenizer | None  # None: the directory has none, so only token ids can be used
    directory: Path  # or the GGUF file that it was read from
    base: str
    device: torch.device
    adapters: dict[str, Adapter] = field(default_factory=dict)
    current: str | None = None
    compute: Compute = "auto"  # of answers

    def __post_init__(self) -> None:
        self.model.use_compute(self.compute)

    def attach(self, adapter_dir: str | Path, name: str = "default") -> Adapter:
        """Read a PEFT directory and keep it under `name`; switched on with `use(name)`. Raises BadInput."""
        adapter = load_adapter(self.model, Path(adapter_dir))
        self.add(adapter, name)
        return adapter

    def add(self, adapter: Adapter, name: str = "default") -> None:
        self.adapters[name] = adapter
        if self.current == name:
            use_adapter(self.model, adapter)

    def detach(self, name: str) -> None:
        if self.current == name:
            self.use(None)
        self.adapters.pop(name, None)

    def use(self, name: str | None) -> None:
        """Answer with this adapter from now on; None is the base model. Raises BadInput for an unknown name."""
        if name is not None and name not in self.adapters:
            raise BadInput(f"no adapter is called {name!r}; resident are {', '.join(self.adapters) or 'none'}")
        use_adapter(self.model, self.adapters[name] if name is not None else None)
        self.current = name

    @contextmanager
    def using(self, adapter: Adapter | None, compute: Compute | None = None) -> Iterator[None]:
        """Switch for a moment, then back: how an answer is made between two micro-batches of training.

        `compute`: of products with quantised weights, where not as this model was opened.
        """
        use_adapter(self.model, adapter)
        self.model.use_compute(compute or self.compute)
        try:
            yield
        finally:
            self.model.use_compute(self.compute)
            use_adapter(self.model, self.adapters[self.current] if self.current is not None else None)

    def window(self, seq_len: int | None) -> int:
        """Tokens of a window: as asked, or 512, or the context where that is shorter. BadInput beyond the context."""
        context = self.model.config.context
        if seq_len is not None and seq_len > context:
            raise BadInput(f"--seq-len {seq_len} is longer than the {context} tokens this model was made for")
        return min(DEFAULT_WINDOW, context) if seq_len is None else seq_len

    def text(self) -> Tokenizer:
        """The tokenizer. Raises BadInput where the model directory has none."""
        if self.tokenizer is None:
            raise BadInput(
                f"{self.directory} has no tokenizer.json or tokenizer.model; copy the tokenizer into the directory"
                if self.directory.is_dir()
                else f"{self.directory} has no tokenizer; convert the model again, with its tokenizer"
            )
        return self.tokenizer


def load(
    model: str | Path,
    base: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
    compute: Compute = "auto",
    full: bool = False,
) -> LoadedModel:
    """Open a model directory, a GGUF file or a Hub id. Raises BadInput where it cannot.

    base: auto, fp32, bf16, fp16, or quantised: nf4, int4, int8. compute: how answers multiply quantised weights.
    full: all weights are to be trained, so that auto takes a base in which they can be.
    """
    directory = resolve_model(str(model), parse_config)
    config = read_config(directory)
    where = _torch_device(device)
    precision = resolve_base(base, str(where), parameter_count(config), stored_base(directory), full)
    check_compute(compute, precision)
    tokenizer = Tokenizer.load(directory) if has_tokenizer(directory) else None
    decoder = _read(directory, precision, where, progress)
    return LoadedModel(decoder, tokenizer, directory, precision, where, compute=compute)


def _torch_device(asked: str) -> torch.device:
    """Raises BadInput for one that is not here, and for a GPU that torch does not see."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as resolve_device counts; CUDA puts the fastest first
    device = torch.device(resolve_device(asked))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput(
            f"--device {device}: the driver lists this GPU, but torch {torch.__version__} does not see it "
            "(see `loralab doctor`); use --device cpu"
        )
    if device.type == "cuda":
        _check_chip(device)
    return device


def _check_chip(device: torch.device) -> None:
    """Builds differ in which chips they are for, and only they themselves know. Raises BadInput."""
    chips = [int(chip.removeprefix("sm_").rstrip("af")) for chip in torch.cuda.get_arch_list() if chip[:3] == "sm_"]
    major, minor = torch.cuda.get_device_capability(device)
    if chips and 10 * major + minor < min(chips):
        raise BadInput(
            f"--device {device}: {torch.cuda.get_device_name(device)} has compute capability {major}.{minor}, and "
            f"torch {torch.__version__} is built for {min(chips) / 10:.1f} or more; install an older CUDA build, or "
            "use --device cpu"
        )


def _read(directory: Path, base: str, device: torch.device, progress: Progress | None) -> Decoder:
    """Raises OutOfMemory with the bases that would fit."""
    try:
        return load_decoder(directory, base, device, progress)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        give_back(device, error)
    free, figures = device_memory(device).free, figures_of(read_config(directory))
    lighter = bases_that_fit(figures, base, free, half_of(str(device)))
    advice = f"{' or '.join(f'--base {one}' for one in lighter)} would fit" if lighter else "choose a smaller model"
    raise OutOfMemory(
        f"out of memory while reading {directory.name}: in {base} it takes {in_words(weight_bytes(figures, base))}, "
        f"and {in_words(free)} are free on {device}; {advice}, or close other programs",
        [{"base": one} for one in lighter],
    )
