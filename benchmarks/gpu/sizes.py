"""How much of everything is measured: as the figures are meant, or next to nothing, to try the measuring itself."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Sizes:
    matrix: tuple[int, int] = (4096, 11008)  # [out, in], read for a few rows
    square: int = 4096  # of a training layer
    many: tuple[int, ...] = (4096, 512)  # rows of x there
    ceiling: int = 8192  # of the product that tells the chip's rate
    copied: int = 4 << 30  # bytes of the large copy
    cold: int = 512 << 20  # bytes of weights that take turns: several times a second cache
    seconds: float = 1.5  # of each race
    batch: int = 2
    window: int = 2048
    rank: int = 16
    warm_up: int = 3  # steps before those that count
    steps: int = 8
    tokens: int = 64  # drawn one by one
    tested: tuple[tuple[int, int], ...] = ((64, 128), (83, 208), (300, 1100))
    tested_rows: tuple[int, ...] = (1, 3, 8, 16, 17, 40, 300)

    shapes: str = ""  # of one model in place of all others

    def config(self, name: str) -> dict[str, Any]:
        """Of a model's config.json what shapes need."""
        found: dict[str, Any] = json.loads((CONFIGS / f"{self.shapes or name}.json").read_text())
        return found


FULL = Sizes()
TINY = Sizes(
    matrix=(64, 128),
    square=64,
    many=(16, 24),
    ceiling=64,
    copied=1 << 20,
    cold=1 << 16,
    seconds=0.02,
    batch=2,
    window=32,
    rank=4,
    warm_up=1,
    steps=2,
    tokens=4,
    tested=((83, 208),),
    tested_rows=(3, 37),
    shapes="tiny",
)
