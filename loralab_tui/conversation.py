"""What was said, one branch a speaker: a shared history would let LoRA read the base's answers."""

from typing import Any

Turn = dict[str, Any]
SPEAKERS = ("base", "lora")
CHOICES = ("base", "lora", "both")


def speakers_of(choice: str) -> tuple[str, ...]:
    return SPEAKERS if choice == "both" else (choice,)


class Conversation:
    def __init__(self) -> None:
        self.branches: dict[str, list[Turn]] = {speaker: [] for speaker in SPEAKERS}

    def ask(self, speaker: str, text: str) -> list[Turn]:
        """Add the question to the speaker's branch; returns the messages to send."""
        branch = self.branches[speaker]
        branch.append({"role": "user", "content": text})
        return list(branch)

    def answer(self, speaker: str, text: str) -> None:
        """What the speaker said. Turns keep alternating: an empty answer takes the question back, and one whose
        question is gone (cleared meanwhile) is not kept."""
        branch = self.branches[speaker]
        if text and branch and branch[-1]["role"] == "user":
            branch.append({"role": "assistant", "content": text})
        else:
            self.take_back(speaker)

    def take_back(self, speaker: str) -> None:
        branch = self.branches[speaker]
        if branch and branch[-1]["role"] == "user":
            branch.pop()

    def clear(self) -> None:
        for branch in self.branches.values():
            branch.clear()
