"""What every committed figure is kept with: the machine it came from."""


def machine() -> dict[str, object]:
    import torch

    from loralab_core.hardware.probe import find_cpu

    cpu = find_cpu()
    return {
        "processor": cpu.name,
        "instructions": list(cpu.isa),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
