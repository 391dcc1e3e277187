"""What every benchmark shares: its command line, its printed report, and the machine its figures came from."""

import argparse
import json
from pathlib import Path


def command_line(about: str | None) -> argparse.ArgumentParser:
    """A command line that begins with `--out`; `about`: the docstring, shown as it is written."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="where the report is kept as JSON")
    return made


def publish(report: dict[str, object], out: Path | None) -> None:
    text = json.dumps(report, indent=2, ensure_ascii=False)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


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
