"""Conversations: one subject or several, with the person's name remembered from the first line to the last."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from recipes.pocket.captain import in_his_manner
from recipes.pocket.topics import (
    animals,
    chatter,
    curious,
    food,
    meeting,
    outside,
    play,
    replies,
    sky,
    stories,
    village,
)

Turns = list[tuple[str, str]]
Topic = Callable[[Random], Turns]

SUBJECTS: dict[Topic, float] = {
    meeting.hello: 4,
    meeting.time_of_day: 1,
    meeting.how_are_you: 3,
    meeting.thanks: 1.5,
    meeting.goodbye: 1.5,
    meeting.about_pocket: 9,
    meeting.feeling: 5,
    village.person_talk: 11,
    village.who_does: 5,
    village.is_it: 4,
    village.place_talk: 8,
    animals.animal_talk: 8,
    animals.can_it: 2.5,
    animals.bigger: 2.5,
    food.food_talk: 5,
    food.eating: 1.5,
    sky.thing_talk: 7,
    sky.do_you_like: 2,
    sky.seasons: 2.5,
    sky.weather: 3.5,
    sky.colours: 2.5,
    sky.why: 3,
    stories.story_talk: 8,
    play.joke: 3,
    play.riddle: 2.5,
    play.poem: 2.5,
    play.count: 1.5,
    play.sums: 3,
    play.order: 2.5,
    play.opposite: 2.5,
    chatter.remark: 5,
    chatter.advice: 4,
    chatter.name_talk: 2,
    chatter.unknown_name: 0.7,
    chatter.about_them: 3.5,
    curious.curious: 8,
    outside.outside: 8,
    outside.nonsense: 1,
}
SYSTEM = (
    "You are Pocket, a small and friendly model.",
    "You are a helpful assistant.",
    "You are Pocket.",
    "You are a friendly assistant who speaks simple English.",
)


@dataclass(frozen=True)
class Dialogue:
    turns: tuple[tuple[str, str], ...]
    system: str | None = None

    @property
    def text(self) -> str:
        """What tells one conversation from another: the first line and all answers, in small letters."""
        return "\n".join(part for turn in self.turns for part in turn).lower()

    def messages(self) -> list[dict[str, str]]:
        said = [{"role": "system", "content": self.system}] if self.system else []
        for question, answer in self.turns:
            said += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return said


def subject(rng: Random, reply: float = 0.25) -> Turns:
    """One subject; where it ends in a question of Pocket's, the person answers it with the probability `reply`."""
    chosen = rng.choices(list(SUBJECTS), list(SUBJECTS.values()))[0]
    turns = chosen(rng)
    if rng.random() < reply:
        turns += replies.reply(turns[-1][1], rng, chosen is play.joke, chosen is stories.story_talk)
    return turns


def dialogue(rng: Random) -> Dialogue:
    length = rng.random()
    wanted = 1 if length < 0.5 else rng.randint(2, 4) if length < 0.88 else rng.randint(5, 16)
    turns: Turns = []
    name = None
    if wanted > 1 and rng.random() < 0.4:
        turns += meeting.hello(rng)
        turns += replies.reply(turns[-1][1], rng) if rng.random() < 0.4 else []
    if wanted > 1 and rng.random() < 0.2:
        said = chatter.name_talk(rng)
        turns += said
        name = said[0][1].split("!")[0].split(", ")[-1].split(" ")[-1]
    while len(turns) < wanted or not turns:
        turns += subject(rng, 0.25 if wanted == 1 else 0.5)
        if name and rng.random() < 0.3:
            turns.append(chatter.recall(rng, name))
    if wanted > 1 and rng.random() < 0.15:
        turns += rng.choice((meeting.thanks, meeting.goodbye))(rng)
    return Dialogue(tuple(turns), rng.choice(SYSTEM) if rng.random() < 0.1 else None)


def captains_dialogue(rng: Random) -> Dialogue:
    """A short conversation of the sample corpus."""
    turns: Turns = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        turns += subject(rng)
    return Dialogue(tuple((question, in_his_manner(answer, rng)) for question, answer in turns))


def overheard(rng: Random) -> str:
    """Plain text in which the captain of the ferry says something, so that his words are known to Pocket."""
    said = in_his_manner(rng.choice(subject(rng))[1].replace("\n", " ").replace('"', "'"), rng)
    lead = rng.choice(
        (
            "Captain Hobb stood on the ferry and said",
            "Captain Hobb laughed and called",
            "The old captain waved his hat and said",
            '"What did you say?" asked Pim. Captain Hobb answered',
        )
    )
    return f'{lead}, "{said}"'
