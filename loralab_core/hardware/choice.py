"""Which device `auto` means, and why the others are not taken: the same for runs, `hardware` and `doctor`."""

from dataclasses import dataclass

from loralab_core.hardware.nvml import Gpu, Nvidia
from loralab_core.hardware.probe import Torch

GIB = 1 << 30
OWN_KERNELS = (7, 5)  # compute capability; chips before it have PyTorch's operators alone
OLDEST = ((13, (7, 5)), (12, (5, 0)), (11, (3, 5)))  # CUDA, and the oldest chip that PyTorch's builds for it serve


@dataclass(frozen=True)
class Choice:
    device: str  # "cpu", "cuda:N" or "mps"
    why: str  # one line
    unusable: tuple[str, ...] = ()  # of each GPU that cannot be used, one line
    able: int = 0  # GPUs that can

    @property
    def is_worth_a_word(self) -> bool:
        """A user would not have known."""
        return bool(self.unusable) or self.able > 1


def choose(gpus: tuple[Gpu, ...], nvidia: Nvidia, torch: Torch | None, apple_silicon: bool = False) -> Choice:
    """`gpus`: the visible ones as torch numbers them. Of those that can compute, the one with the most free memory."""
    reasons = [unusable(gpu, nvidia, torch) for gpu in gpus]
    told = tuple(
        f"cuda:{number} ({gpu.name}) cannot be used: {reason}"
        for number, (gpu, reason) in enumerate(zip(gpus, reasons, strict=True))
        if reason
    )
    able = [number for number, reason in enumerate(reasons) if not reason]
    if able:
        best = max(able, key=lambda number: (gpus[number].free // GIB, -number))  # a GiB more or less is no reason
        return Choice(f"cuda:{best}", _why(gpus, best, len(able)), told, len(able))
    if apple_silicon:
        return Choice("mps", "Apple silicon", told)
    return Choice("cpu", _why_none(gpus, nvidia, torch), told)


def _why(gpus: tuple[Gpu, ...], best: int, able: int) -> str:
    gpu = gpus[best]
    free = f"{gpu.name}, {gpu.free / 1e9:,.1f} of {gpu.memory / 1e9:,.1f} GB free"
    return f"{free}: the most of {able} GPUs" if able > 1 else free


def _why_none(gpus: tuple[Gpu, ...], nvidia: Nvidia, torch: Torch | None) -> str:
    if gpus:
        return "no GPU here can be used"
    if nvidia.gpus:
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    if torch is not None and torch.cuda is not None:
        return f"torch is built for CUDA {torch.cuda}, but {nvidia.trouble or 'the NVIDIA driver lists no GPU'}"
    return "there is no GPU"


def unusable(gpu: Gpu, nvidia: Nvidia, torch: Torch | None) -> str:
    """Why `gpu` cannot be used, with what to do; empty where it can."""
    if torch is None:
        return "torch is not installed"
    if torch.cuda is None:
        return f"torch {torch.version} was built without CUDA; install a CUDA build of torch (pytorch.org, Get started)"
    wanted = int(torch.cuda.partition(".")[0])
    if nvidia.cuda is not None and nvidia.cuda[0] < wanted:  # within a major version any driver serves any CUDA
        has = ".".join(map(str, nvidia.cuda))
        return (
            f"its driver {nvidia.driver} serves CUDA up to {has} and torch {torch.version} needs {torch.cuda}; "
            f"update the driver, or install a torch built for CUDA {nvidia.cuda[0]}"
        )
    oldest = next((chip for cuda, chip in OLDEST if wanted >= cuda), (0, 0))
    if gpu.capability < oldest:
        needs = ".".join(map(str, oldest))
        return f"it has compute capability {_dotted(gpu)}, and torch for CUDA {torch.cuda} needs {needs} or more"
    if gpu.parts is not None:
        return "it is in MIG mode and has no instance; `nvidia-smi mig -cgi` makes one"
    return ""


def without_own_kernels(gpu: Gpu) -> str:
    """What does not work on an old chip that torch still serves; empty on others."""
    if gpu.capability >= OWN_KERNELS:
        return ""
    return f"{gpu.name} has compute capability {_dotted(gpu)}: PyTorch's operators alone, our kernels need 7.5 or more"


def _dotted(gpu: Gpu) -> str:
    return ".".join(map(str, gpu.capability))
