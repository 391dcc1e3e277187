"""The things of nature, why they are so, seasons, weather, colours."""

from random import Random

from recipes.pocket.forms import question, talk
from recipes.pocket.grammar import asked, capital, listed, one
from recipes.pocket.world import table

Turns = list[tuple[str, str]]


def thing_talk(rng: Random) -> Turns:
    things = table("nature")["things"]
    name = rng.choice(list(things))
    facts = things[name]
    many = name[2:] + "s" if name.startswith("a ") else name
    what = "What are the stars?" if name.endswith("stars") else f"What is {name}?"
    asks = question(rng, "sky.thing", n=name, many=many, what=what)
    rest = rng.sample(facts[1:], min(len(facts) - 1, rng.choice([1, 2, 2])))
    turns = [(asks, " ".join([facts[0], *rest]))]
    left = [fact for fact in facts[1:] if fact not in rest]
    if left and rng.random() < 0.4:
        turns.append((question(rng, "sky.more"), rng.choice(left)))
    return turns


def do_you_like(rng: Random) -> Turns:
    things = table("nature")["things"]
    name = rng.choice(list(things))
    many = name[2:] + "s" if name.startswith("a ") else name
    fact = rng.choice(things[name])
    return [talk(rng, "sky.do_you_like" if rng.random() < 0.5 else "sky.i_like", x=many, fact=fact)]


def why(rng: Random) -> Turns:
    row = rng.choice(table("nature")["why"])
    asks, start = row["question"], rng.choice(("", "", "Do you know "))
    return [(asked(rng, start + (asks[0].lower() + asks[1:] if start else asks)), row["answer"])]


def seasons(rng: Random) -> Turns:
    known = table("nature")["seasons"]
    names = list(known)
    season = rng.choice(names)
    words = {"s": season, **known[season]}
    made = [talk(rng, "sky." + form, **words) for form in ("season", "season_do", "season_wear")]
    made.append((question(rng, "sky.seasons"), table("sky")["seasons"]["answers"][0]))
    following = names[(names.index(season) + 1) % 4]
    made.append((question(rng, "sky.season_after", s=season), f"After {season} comes {following}."))
    return [rng.choice(made)]


def weather(rng: Random) -> Turns:
    kinds = table("nature")["weather"]
    kind = rng.choice(list(kinds))
    if rng.random() < 0.35:
        asks = question(rng, "sky.today")
        now = rng.choice(table("sky")["now"])
        return [(asks, f"Here in Pebblewick {now}" + one(rng, *table("sky")["today"]["answers"]))]
    form = rng.choice(("do", "wear", "say"))
    return [talk(rng, "sky.weather_" + form, it=kind, **kinds[kind])]


def colours(rng: Random) -> Turns:
    by, of = table("sky")["colours"], table("sky")["things"]
    if rng.random() < 0.3:
        colour = rng.choice(list(by))
        asks = question(rng, "sky.by_colour", c=colour)
        return [(asks, capital(listed(rng.sample(by[colour], 2))) + f" are {colour}.")]
    name = rng.choice(list(of))
    return [talk(rng, "sky.colour_of", x=name, X=capital(name), c=of[name])]
