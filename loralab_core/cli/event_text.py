"""Events of a run as sentences for a person."""

from loralab_core.cli.terminal import duration, number, size
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event

PROMPT_SHOWN, ANSWER_SHOWN = 40, 200  # characters


def describe(event: Event) -> str | None:
    """A line, or a few, for an event worth it; None for steps and for what only matters to programs."""
    describer = _DESCRIBERS.get(event["event"])
    return describer(event) if describer else None


def describe_step(event: Event, steps: int | None) -> str:
    of = f"/{steps}" if steps else ""
    return (
        f"step {event['step']}{of}  loss {number(event.get('loss'))}  {rate(event)}  "
        f"lr {number(event.get('lr'), '.2e')}  eta {duration(event.get('eta_s'))}"
    )


def rate(event: Event) -> str:
    return f"{number(event.get('tokens_per_s'), ',.0f')} tok/s"


def resume_hint(run: RunDirectory) -> str:
    return f"continue with: loralab resume {short_name(run)}"


def short_name(run: RunDirectory) -> str:
    """What to type for this run: its id if it lies in the usual place, its path otherwise."""
    from loralab_core.paths import runs_dir

    return run.path.name if run.path.parent == runs_dir().resolve() else str(run.path)


def _prepared(event: Event) -> str:
    parts = [f"{event['steps']} steps" if event.get("steps") else ""]
    parts += [f"{event['windows']:,} windows of {event.get('seq_len')} tokens" if event.get("windows") else ""]
    parts += [f"{event['trainable_params']:,} weights in training" if event.get("trainable_params") else ""]
    ready = "ready: " + ", ".join(part for part in parts if part)
    return "\n".join([ready, *(f"note: {note}" for note in event.get("notes") or ())])


def _resumed(event: Event) -> str:
    return f"resumed at step {event.get('step', 0)}"


def _eval(event: Event) -> str:
    loss, perplexity = number(event.get("loss")), number(event.get("perplexity"), ".2f")
    return f"step {event.get('step', 0)}: validation loss {loss}, perplexity {perplexity}"


def _sample(event: Event) -> str:
    """A prompt and its answer in one line."""
    prompt, text = (" ".join(str(event.get(key, "")).split()) for key in ("prompt", "text"))
    return f"step {event.get('step', 0)}: {_cut(prompt, PROMPT_SHOWN)} → {_cut(text, ANSWER_SHOWN)}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _checkpoint(event: Event) -> str:
    return f"step {event.get('step', 0)}: checkpoint saved"


def _changed(event: Event) -> str:
    changes = {key: value for key, value in event.items() if key not in ("event", "seq", "time", "at_step")}
    said = ", ".join(f"{key} = {value}" for key, value in changes.items())
    return f"from step {event.get('at_step', 0)} on: {said}"


def _warning(event: Event) -> str:
    return f"warning: {event.get('sentence', '')}"


def _ended(event: Event) -> str:
    word = {"done": "finished", "stopped": "stopped", "failed": "failed"}[event["event"]]
    if event["event"] == "failed":
        return f"{word}: {event.get('why') or 'no reason was given'}"
    return (
        f"{word} after {event.get('steps', 0)} steps, {event.get('tokens') or 0:,} tokens, "
        f"{duration(event.get('seconds'))}, at most {size(event.get('peak_memory_bytes'))}"
    )


_DESCRIBERS = {
    "prepared": _prepared,
    "resumed": _resumed,
    "eval": _eval,
    "checkpoint": _checkpoint,
    "sample": _sample,
    "changed": _changed,
    "warning": _warning,
    "done": _ended,
    "stopped": _ended,
    "failed": _ended,
}
