"""The same few prompts, answered by the base and at every checkpoint: what changed, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textual.content import Content

from loralab_tui.chat.harmless import harmless
from loralab_tui.words import one_line

BASE = 0  # the step before the first: nothing was learned yet


@dataclass
class Samples:
    """`answers[step][index]`, with what was asked in `prompts[index]`."""

    prompts: dict[int, str] = field(default_factory=dict)
    answers: dict[int, dict[int, str]] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        index = int(event["index"])
        self.prompts[index] = str(event.get("prompt", ""))
        self.answers.setdefault(int(event["step"]), {})[index] = str(event.get("text", ""))

    def cut(self, last: int) -> None:
        """Forget what was said above step `last`: a resumed run voids it."""
        self.answers = {step: said for step, said in self.answers.items() if step <= last}

    @property
    def steps(self) -> list[int]:
        """Of the adapter, in order; the base stands beside them."""
        return sorted(step for step in self.answers if step != BASE)

    def said(self, step: int, index: int) -> str | None:
        """None where it was not answered (yet)."""
        return self.answers.get(step, {}).get(index)

    @property
    def newest(self) -> tuple[int, int] | None:
        """Step and prompt of the newest answer by the adapter, or by the base while there is none."""
        step = max(self.answers, default=None)
        return None if step is None else (step, max(self.answers[step]))


def samples_line(samples: Samples) -> Content:
    """The newest answer in one line; empty when nothing was asked."""
    newest = samples.newest
    if newest is None:
        return Content("")
    step, index = newest
    who = ("base", "$base-voice") if step == BASE else (f"LoRA @{step}", "$lora-voice")
    asked = one_line(harmless(samples.prompts[index]))
    said = one_line(harmless(samples.answers[step][index])) or "(nothing)"
    return Content.assemble(who, f"  {asked} → ", (said, "$foreground"))
