"""How long the event loop is kept from anything else: measured only where LORALAB_MEASURE_STALLS names a file."""

import asyncio
import os
import time
from array import array
from pathlib import Path

TICK_S = 0.005
VARIABLE = "LORALAB_MEASURE_STALLS"


async def measure() -> None:
    """Sleep 5 ms again and again; what a sleep took beyond that is a stall. Written when cancelled: when, how long."""
    moments, stalls = array("d"), array("d")
    try:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            moments.append(began)
            stalls.append(max(0.0, time.perf_counter() - began - TICK_S))
    finally:
        lines = (f"{moment:.6f} {stall:.6f}" for moment, stall in zip(moments, stalls, strict=True))
        Path(os.environ[VARIABLE]).write_text("\n".join(lines))
