"""Jokes, riddles, little poems, counting, sums, opposites, days."""

from random import Random

from recipes.pocket.forms import question, talk
from recipes.pocket.grammar import capital, listed
from recipes.pocket.world import table

Turns = list[tuple[str, str]]

_NUMBERS: list[str] = table("play")["numbers"]
_DAYS: list[str] = table("play")["days"]
_MONTHS: list[str] = table("play")["months"]


def joke(rng: Random) -> Turns:
    jokes = table("play")["jokes"]
    turns = [(question(rng, "play.joke"), rng.choice(jokes))]
    if rng.random() < 0.4:
        turns.append(talk(rng, "play.laugh"))
    elif rng.random() < 0.3:
        turns.append((question(rng, "play.another_joke"), rng.choice(jokes)))
    return turns


def riddle(rng: Random) -> Turns:
    riddles = table("play")["riddles"]
    text, solution = rng.choice(riddles)
    words = {"x": solution, "y": solution[0].lower() + solution[1:]}
    turns = [(question(rng, "play.riddle"), text)]
    how = rng.random()
    if how < 0.35:
        turns.append(talk(rng, "play.give_up", **words))
    elif how < 0.6:
        turns.append(talk(rng, "play.solved", **words))
    elif how < 0.75:
        wrong = rng.choice([word for _, word in riddles if word != solution])
        turns.append((question(rng, "play.wrong", wrong=wrong), f"No, not quite. It is {words['y']}."))
    return turns


def poem(rng: Random) -> Turns:
    rhymes, poems = table("play")["rhymes"], table("play")["poems"]
    about = rng.choice(list(poems))
    first = rng.choice(poems[about])
    second = rng.choice([number for number in range(len(rhymes)) if number != first])
    text = "\n".join(line for number in (first, second) for line in rhymes[number])
    form = "play.poem_about" if rng.random() < 0.6 else "play.poem"
    return [(question(rng, form, x=about), text)]


def count(rng: Random) -> Turns:
    end = rng.randint(2, 12)
    start = 1 if rng.random() < 0.8 else rng.randint(1, end - 1)
    said = str(end) if rng.random() < 0.5 else _NUMBERS[end]
    words = {"said": said, "start": start, "end": end, "first": _NUMBERS[start], "last": _NUMBERS[end]}
    asks = question(rng, "play.count_to" if start == 1 else "play.count_from", **words)
    return [(asks, capital(", ".join(_NUMBERS[start : end + 1])) + ".")]


def sums(rng: Random) -> Turns:
    x, y = rng.randint(0, 10), rng.randint(0, 10)
    names = _NUMBERS if rng.random() < 0.5 else [str(number) for number in range(11)]
    minus = rng.random() < 0.3 and x >= y
    asks = question(rng, "play.minus" if minus else "play.plus", x=x, y=y, a=names[x], b=names[y])
    result = _NUMBERS[x - y if minus else x + y]
    return [(asks, capital(f"{_NUMBERS[x]} {'minus' if minus else 'plus'} {_NUMBERS[y]} is {result}."))]


def order(rng: Random) -> Turns:
    """What comes before and after what."""
    kind = rng.choice(["number", "day", "month", "list"])
    step, word = (1, "after") if rng.random() < 0.7 else (-1, "before")
    if kind == "list":
        names, what = rng.choice(((_DAYS, "days of the week"), (_MONTHS, "months")))
        return [(question(rng, "play.list", what=what), f"The {what} are {listed(names)}.")]
    if kind == "number":
        number = rng.randint(1, 19)
        name = _NUMBERS[number] if rng.random() < 0.5 else str(number)
        asks = question(rng, "play.next_number", word=word, x=name)
        return [(asks, capital(f"{word} {_NUMBERS[number]} comes {_NUMBERS[number + step]}."))]
    names = _DAYS if kind == "day" else _MONTHS
    index = rng.randrange(len(names))
    asks = question(rng, "play.next_name", kind=kind, word=word, x=names[index])
    return [(asks, capital(f"{word} {names[index]} comes {names[(index + step) % len(names)]}."))]


def opposite(rng: Random) -> Turns:
    pair = list(rng.choice(table("play")["opposites"]))
    if pair not in (["tall", "short"], ["heavy", "light"]) and rng.random() < 0.5:
        pair.reverse()
    return [(question(rng, "play.opposite", x=pair[0]), f"The opposite of {pair[0]} is {pair[1]}.")]
