"""What was said: rounds of one question and its answers. From them each speaker's own branch is read.

A shared history would let LoRA read the base's answers.
"""

from dataclasses import dataclass, field, replace
from typing import Any

Turn = dict[str, Any]
SPEAKERS = ("base", "lora")
CHOICES = ("base", "lora", "both")
KEPT = 400  # rounds; older ones are in chat.jsonl
GUESS = 0.5  # tokens a character before an engine has counted any: too many rather than too few
TURN = 20  # characters that a template's marks around a turn count for
TELLING = 500  # characters from which a count tells what one takes; below, the template's own text prevails
FULL_SHARE = 0.75  # of the context goes to what was said, at most, where answers may be long


def speakers_of(choice: str) -> tuple[str, ...]:
    return SPEAKERS if choice == "both" else (choice,)


@dataclass(eq=False)
class Reply:
    """One speaker's answer. `attempt` counts how often it was asked for again.

    `cut`: the model would have said more. `began`: the step it began with, where it went on with another.
    """

    speaker: str
    text: str = ""
    step: int | None = None
    note: str = ""
    attempt: int = 0
    failed: bool = False
    cut: bool = False
    began: int | None = None

    def went_on(self, text: str, step: int | None, *, cut: bool) -> None:
        """`text`: all of it."""
        if self.began is None and step != self.step:
            self.began = self.step
        self.text, self.step, self.cut = text, step, cut

    @property
    def beginning(self) -> str:
        return "" if self.began is None else f"begun @{self.began}"


@dataclass(eq=False)
class Round:
    question: str
    continues: bool = False
    replies: list[Reply] = field(default_factory=list)

    @property
    def choice(self) -> str:
        """Which of the choices it was asked with."""
        return self.replies[0].speaker if len(self.replies) == 1 else "both"

    def reply(self, speaker: str) -> Reply | None:
        return next((reply for reply in self.replies if reply.speaker == speaker), None)


@dataclass(frozen=True)
class Taken:
    """Rounds that were taken away, and the one they stood below; None: they were the first."""

    rounds: list[Round]
    above: Round | None


@dataclass(frozen=True)
class Grown:
    """An answer of a round, as it was `before` it went on, and the whole `text` it has become."""

    rounds: list[Round]
    reply: Reply
    before: Reply
    text: str

    def shrink(self) -> bool:
        """False where it has become another answer since."""
        here = self.reply.text == self.text
        if here:
            vars(self.reply).update(vars(self.before))
        return here


@dataclass(frozen=True)
class Asked:
    """What is sent: the branch with the question at its end. `left_out`: earlier questions there was no room for."""

    turns: list[Turn]
    left_out: int = 0

    @property
    def characters(self) -> int:
        return sum(len(turn["content"]) + TURN for turn in self.turns)


class Conversation:
    """`context`: tokens the model was made for (0: not known); `_density` is learned from what an engine counts."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.context = 0
        self._density = GUESS
        self._taken: list[Taken | Grown] = []  # the last one last

    def add(self, question: str, continues: bool, speakers: tuple[str, ...]) -> Round:
        said = Round(question, continues, [Reply(speaker) for speaker in speakers])
        self.rounds.append(said)
        del self.rounds[:-KEPT]
        return said

    def asked(self, said: Round, speaker: str, system: str, length: int, begun: str = "") -> Asked:
        """What `speaker` is sent in this round: its own branch, as much of it as leaves room for the answer.

        `begun`: what it has answered already, to go on with.
        """
        pairs = self._pairs(said, speaker)
        rest = len(system) + len(said.question) + len(begun) + 2 * TURN
        room = self._room(length) - rest
        kept: list[Turn] = []
        for question, answer in reversed(pairs):
            room -= len(question["content"]) + len(answer["content"]) + 2 * TURN
            if room < 0:
                break
            kept[:0] = [question, answer]
        before: list[Turn] = [{"role": "system", "content": system}] if system else []
        turns = [*before, *kept, {"role": "user", "content": said.question}]
        if begun:
            turns.append({"role": "assistant", "content": begun})
        return Asked(turns, len(pairs) - len(kept) // 2)

    def _pairs(self, said: Round, speaker: str) -> list[tuple[Turn, Turn]]:
        """Question and answer of the rounds before, in which this speaker said something in a chat."""
        before = self.rounds[: self.rounds.index(said)] if said in self.rounds else []
        found = [(one.question, one.reply(speaker)) for one in before if not one.continues]
        return [
            ({"role": "user", "content": question}, {"role": "assistant", "content": reply.text})
            for question, reply in found
            if reply is not None and reply.text and not reply.failed
        ]

    def _room(self, length: int) -> float:
        """Characters there are for the branch."""
        if not self.context:
            return float("inf")
        tokens = max(self.context - length, self.context * (1 - FULL_SHARE))
        return tokens / self._density

    def learn(self, asked: Asked, prompt_tokens: int) -> None:
        """How many tokens a character takes in this language and tokenizer, template included."""
        if asked.characters >= TELLING and prompt_tokens:
            self._density = max(0.05, 1.1 * prompt_tokens / asked.characters)

    # ---- taking back

    def cut(self, said: Round) -> None:
        """Take this round and all behind it away; `undo` brings them back."""
        self._take(self.rounds.index(said))

    def clear(self) -> None:
        if self.rounds:
            self._take(0)

    def went_on(self, said: Round, reply: Reply, text: str, step: int | None, *, cut: bool) -> None:
        """An answer of this round has become `text`; `undo` makes it what it was."""
        self._remember(Grown([said], reply, replace(reply), text))
        reply.went_on(text, step, cut=cut)

    def _take(self, at: int) -> None:
        self._remember(Taken(self.rounds[at:], self.rounds[at - 1] if at else None))
        del self.rounds[at:]

    def _remember(self, taken: Taken | Grown) -> None:
        self._taken.append(taken)
        while len(self._taken) > 1 and sum(len(taken.rounds) for taken in self._taken) > KEPT:
            del self._taken[0]

    def undo(self) -> list[Round]:
        """What was taken away last stands in its place again, above what was asked since; empty when nothing was.

        So nothing is ever lost, and the speakers remember what one sees. Called again it goes further back. Where an
        answer went on last, it is what it was before, and its round stays where it is.
        """
        while self._taken:
            last = self._taken.pop()
            if isinstance(last, Taken):
                return self._put_back(last)
            if last.shrink():
                return last.rounds
        return []

    def _put_back(self, back: Taken) -> list[Round]:
        at = self.rounds.index(back.above) + 1 if back.above in self.rounds else 0  # it may be too old to be kept
        self.rounds[at:at] = back.rounds
        return back.rounds

    def replace(self, rounds: list[Round]) -> None:
        """Another conversation, which nothing brings back."""
        self.rounds, self._taken = rounds[-KEPT:], []
