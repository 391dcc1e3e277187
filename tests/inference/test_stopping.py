"""Where an answer ends: stop strings, whatever tokens and bytes they are made of, and every eos."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.inference.stopping import StopStrings
from loralab_core.lora import LoadedModel
from loralab_core.wire.messages import Sampling
from tests.inference.conftest import Say


def test_a_stop_ends_the_answer_wherever_tokens_end(lm: LoadedModel) -> None:
    ids = prompt_ids(lm, prompt="Once upon a time")
    whole = "".join(Answer(lm, ids, Sampling(max_new_tokens=60)).pieces())
    stop = whole[50:58]
    made = Answer(lm, ids, Sampling(max_new_tokens=60, stop=(stop, "never said")))
    assert "".join(made.pieces()) == made.text == whole[: whole.index(stop)]
    assert made.finish == "stop" and len(made.tokens) < 60


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_stops_cut_the_text_however_it_comes_in_pieces(text: str, stops: list[str], data: st.DataObject) -> None:
    found = StopStrings(stops)
    shown, rest = "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += found.push(rest[:size])
        assert text.startswith(shown)
        rest = rest[size:]
    shown += found.flush()
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    assert found.found == bool(ends)
    if not ends:
        assert shown == text
    else:  # the stop that is complete first decides; of several complete together, the one that began first
        last = next(end for end in range(len(text) + 1) if any(stop in text[:end] for stop in stops))
        assert len(shown) <= last and not any(stop in shown for stop in stops)


TEXT = "He paid 5 € for 日本 tea 👩‍👩‍👧 and left.\nThe end"


@pytest.mark.parametrize("stop", ("€", "本", "👩‍👩‍👧", "👧 and", " left.\nThe", "日本 tea 👩", "The end"))
def test_stops_of_many_bytes(lm: LoadedModel, say: Say, stop: str) -> None:
    """The tokenizer has no token for these characters: each is several raw bytes."""
    tokens = lm.text().encode(TEXT, special=False)
    answer, pieces = say(tokens, stop=(stop,))
    assert answer.finish == "stop"
    assert "".join(pieces) == answer.text == TEXT[: TEXT.index(stop)]


def test_a_stop_that_only_began_is_shown_at_the_end(lm: LoadedModel, say: Say) -> None:
    tokens = lm.text().encode("It was late. Use", special=False)
    for ending in (lm.text().eos_ids[0], lm.text().eos_ids[1]):
        answer, pieces = say([*tokens, ending], stop=("User:",))
        assert answer.finish == "eos" and "".join(pieces) == "It was late. Use"
        assert not "".join(pieces[:-1]).endswith("U")
    cut, pieces = say(tokens, stop=("User:",), max_new_tokens=len(tokens))
    assert cut.finish == "length" and "".join(pieces) == "It was late. Use"


def test_bytes_that_end_in_the_middle_of_a_character_are_never_shown_by_half(lm: LoadedModel, say: Say) -> None:
    tokens = lm.text().encode("Tea 👧", special=False)
    whole, pieces = say([*tokens, 2])
    assert whole.text == "Tea 👧" and not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    _, pieces = say(tokens[:-1], max_new_tokens=len(tokens) - 1)
    assert "".join(pieces[:-1]) == "Tea ", "only the end says that the rest never came"
    answer, _ = say(tokens, stop=("👧",), max_new_tokens=len(tokens))
    assert (answer.text, answer.finish) == ("Tea ", "stop"), "the last token completed it"


def test_a_special_token_can_be_a_stop(lm: LoadedModel, say: Say) -> None:
    """No text is ever made of it, so it would be looked for in vain there."""
    tokens = lm.text().encode("Once upon", special=False)
    answer, pieces = say([*tokens, 0, *tokens], stop=("<unk>",))
    assert (answer.finish, "".join(pieces)) == ("stop", "Once upon")
    assert say([*tokens, 0, *tokens, 2])[0].finish == "eos"


@pytest.mark.parametrize("which", (0, 1))
def test_any_eos_ends_and_is_no_part_of_the_answer(lm: LoadedModel, say: Say, which: int) -> None:
    answer, _ = say([*lm.text().encode("One", special=False), lm.text().eos_ids[which], 300, 301])
    assert (answer.finish, answer.text) == ("eos", "One")
