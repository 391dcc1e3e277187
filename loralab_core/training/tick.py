"""Time for whoever drives a run to do something else."""

from loralab_core.runs.events import Event

TICK: Event = {"event": "tick"}  # like "tokenizing" it is not written down
