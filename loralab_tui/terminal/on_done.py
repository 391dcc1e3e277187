"""`--on-done CMD`: what the user wants to happen when a run on the screen has ended."""

import asyncio
import os
import subprocess
import tempfile
from typing import BinaryIO

from loralab_tui.runs.view import RunView

POLL_S = 0.2


def environment(run: RunView) -> dict[str, str]:
    """What the command is told. Empty where there is nothing to tell."""
    loss = run.curve.losses[-1] if len(run.curve) else None
    return {
        "LORALAB_RUN": run.directory,
        "LORALAB_NAME": run.name,
        "LORALAB_STATE": run.phase.value,
        "LORALAB_STEP": str(run.step),
        "LORALAB_LOSS": "" if loss is None else f"{loss:.6g}",
        "LORALAB_ADAPTER": run.adapter or "",
        "LORALAB_WHY": run.why,
    }


async def carry_out(command: str, told: dict[str, str]) -> str:
    """Run it in a shell, in a session of its own: it goes on when the screen is left. A sentence if it failed."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            shell=True,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        while (code := process.poll()) is None:  # a thread that waits would keep the program from ending
            await asyncio.sleep(POLL_S)
        return f"--on-done ended with {code}: {_last_line(said) or command}" if code else ""


def _last_line(said: BinaryIO) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 2000))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
