"""Whose words are sent to whom, how much of them, and what can be taken back."""

import json
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.wire.messages import Sampling
from loralab_tui.chat.conversation import KEPT, Conversation, Round
from loralab_tui.chat.history import TAIL, Exchange, read_chat, rounds_of
from loralab_tui.chat.sampling import DEFAULT, SamplingChoice, shown


def say(talk: Conversation, question: str, **answers: str) -> Round:
    said = talk.add(question, False, tuple(answers))
    for reply in said.replies:
        reply.text = answers[reply.speaker]
    return said


def sent(talk: Conversation, question: str, speaker: str, system: str = "", length: int = 10) -> list[str]:
    said = talk.add(question, False, (speaker,))
    return [turn["content"] for turn in talk.asked(said, speaker, system, length).turns]


def test_each_speaker_remembers_only_its_own_words() -> None:
    talk = Conversation()
    say(talk, "who?", base="a king", lora="thy liege")
    assert sent(talk, "why?", "lora") == ["who?", "thy liege", "why?"]


def test_turns_keep_alternating_when_an_answer_fails_or_says_nothing() -> None:
    talk = Conversation()
    say(talk, "who?", base="").replies[0].failed = True
    say(talk, "what?", base="")
    assert sent(talk, "again?", "base") == ["again?"]


def test_texts_that_were_continued_are_no_part_of_a_chat() -> None:
    talk = Conversation()
    talk.add("Once", True, ("base",)).replies[0].text = "upon"
    assert sent(talk, "who?", "base", system="Be brief") == ["Be brief", "who?"]


def test_what_does_not_fit_the_context_is_left_out_from_the_oldest_on() -> None:
    talk = Conversation()
    for number in range(20):
        say(talk, f"question {number:02}", base="an answer of some length")
    talk.context = 328
    said = talk.add("last", False, ("base",))
    asked = talk.asked(said, "base", "", 28)
    assert 200 < asked.characters * 0.5 <= 300
    assert asked.left_out == 20 - (len(asked.turns) - 1) // 2 > 0
    assert asked.turns[-2]["content"] == "an answer of some length"
    assert asked.turns[0]["content"] == f"question {asked.left_out:02}"
    talk.learn(asked, asked.characters // 5)
    assert talk.asked(said, "base", "", 28).left_out < asked.left_out, "an engine counted fewer tokens than guessed"


def test_asking_an_older_question_again_sends_what_was_before_it() -> None:
    talk = Conversation()
    first = say(talk, "one", base="1")
    say(talk, "two", base="2")
    assert [turn["content"] for turn in talk.asked(first, "base", "", 10).turns] == ["one"]


def test_what_was_taken_away_comes_back_in_its_place_the_last_first() -> None:
    talk = Conversation()
    first, second = say(talk, "one", base="1"), say(talk, "two", base="2")
    talk.cut(second)
    assert talk.rounds == [first]
    edited = say(talk, "twos", base="II")
    talk.clear()
    new = say(talk, "three", base="3")
    assert talk.undo() == [first, edited] and talk.rounds == [first, edited, new]
    assert talk.undo() == [second] and talk.rounds == [first, second, edited, new]
    assert talk.undo() == []


def test_what_stood_below_a_forgotten_question_comes_back_at_the_top() -> None:
    talk = Conversation()
    say(talk, "one", base="1")
    second = say(talk, "two", base="2")
    talk.cut(second)
    for number in range(KEPT):
        say(talk, str(number), base="x")
    talk.undo()
    assert [said.question for said in talk.rounds[:2]] == ["two", "0"]


def test_what_was_taken_away_does_not_pile_up_without_end() -> None:
    talk = Conversation()
    for _ in range(2 * KEPT):
        say(talk, "again", base="x")
        talk.clear()
    count = 0
    while talk.undo():
        count += 1
    assert count == KEPT


def test_a_long_conversation_keeps_to_its_size() -> None:
    talk = Conversation()
    for number in range(KEPT + 50):
        say(talk, str(number), base="x")
    assert len(talk.rounds) == KEPT


def test_a_kept_chat_comes_back_as_it_was_seen() -> None:
    def exchange(speaker: str, text: str, *asked: str) -> Exchange:
        return Exchange(speaker, text, None, [{"role": "user", "content": turn} for turn in asked])

    rounds = rounds_of(
        [
            exchange("base", "a king", "who?"),
            exchange("lora", "liege", "who?"),
            exchange("lora", "asked again", "who?"),
            exchange("lora", "no king", "who?", "asked again", "who?"),
            Exchange("base", "upon", None, None, "Once"),
        ]
    )
    assert [[reply.text for reply in said.replies] for said in rounds] == [
        ["a king", "asked again"],
        ["no king"],
        ["upon"],
    ]
    assert [said.continues for said in rounds] == [False, False, True]


def test_settings_are_told_only_where_they_differ() -> None:
    assert DEFAULT.told() == ""
    choice = DEFAULT.changed("temperature", "0").changed("seed", "any").changed("system", "Be\nbrief")
    assert choice.told() == "greedy · another seed each time · system: Be brief"
    assert choice.drawn().seed != choice.drawn().seed
    assert [SamplingChoice(seed=3).drawn(attempt).seed for attempt in (0, 1)] == [3, 4]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "hot"),
        ("temperature", "nan"),
        ("top_p", "0"),
        ("top_k", "-1"),
        ("min_p", "1.5"),
        ("repetition", "0"),
        ("seed", "-1"),
        ("length", "0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadInput, match=name.replace("_", "-")):
        DEFAULT.changed(name, text)


def test_only_the_end_of_a_long_history_is_read(tmp_path: Path) -> None:
    said = {"speaker": "base", "prompt": "Once", "text": "upon a time"}
    with (tmp_path / "chat.jsonl").open("w", encoding="latin-1") as file:
        file.write(json.dumps({**said, "text": "x" * TAIL}) + "\n")
        file.write("\xff not JSON\n" + json.dumps(said) + "\n")
    assert [exchange.text for exchange in read_chat(tmp_path)] == ["upon a time"]


def test_what_a_chosen_adapter_said_is_read_as_lora(tmp_path: Path) -> None:
    lines = [
        {"speaker": who, "text": who, "messages": [{"role": "user", "content": "who"}]}
        for who in ("base", "/my/adapter")
    ]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (said,) = rounds_of(read_chat(tmp_path))
    assert [(reply.speaker, reply.text) for reply in said.replies] == [("base", "base"), ("lora", "/my/adapter")]


def test_every_setting_goes_to_the_engine_and_into_the_line() -> None:
    choice = SamplingChoice(top_k=40, min_p=0.05, repetition=1.1, stop=("User:", "\n"))
    assert choice.told() == r"top-k 40 · min-p 0.05 · repetition penalty 1.1 · stops at User: || \n"
    assert choice.drawn() == Sampling(
        temperature=0.7, top_p=0.95, top_k=40, min_p=0.05, repetition_penalty=1.1, stop=("User:", "\n")
    )


@pytest.mark.parametrize("stops", ((), ("User:",), ("\n\n", "<|user|>", "a\tb"), ("C:\\new", "\\")))
def test_stop_texts_are_read_as_they_are_shown(stops: tuple[str, ...]) -> None:
    assert DEFAULT.changed("stop", shown(stops)).stop == stops
    assert DEFAULT.changed("stop", "  ||  ").stop == ()
