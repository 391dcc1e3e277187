"""The generator behind Pocket: the same seed gives the same text, and what is held out stays out."""

import json
from pathlib import Path
from random import Random

import pytest

from loralab_core.catalog.pocket import HELD_OUT, SAMPLE_CORPUS
from recipes.pocket.captain import in_his_manner
from recipes.pocket.dialogues import SUBJECTS, Topic
from recipes.pocket.grammar import asked, expand
from recipes.pocket.write_text import SAMPLE, conversations, documents, held_out, write_text


def lowered(row: str) -> str:
    """A row's conversation as the hash sees it."""
    return "\n".join(said["content"] for said in json.loads(row)["messages"] if said["role"] != "system").lower()


def test_the_same_seed_writes_the_same_text(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_text(tmp_path / name, 500, 100)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_another_seed_writes_other_text() -> None:
    assert [talk.text for talk in conversations(20, 1)] != [talk.text for talk in conversations(20, 2)]


def test_nothing_that_is_held_out_is_trained_on(tmp_path: Path) -> None:
    write_text(tmp_path, 8000, 10)
    kept = {lowered(row) for row in (tmp_path / "chats.jsonl").read_text().splitlines()}
    left = {lowered(row) for row in (tmp_path / "held-out.jsonl").read_text().splitlines()}
    assert len(left) > 80 and not kept & left


def test_the_bundled_held_out_conversations_are_held_out_by_the_generator() -> None:
    rows = HELD_OUT.read_text(encoding="utf-8").splitlines()
    assert len(rows) >= 300 and all(held_out(lowered(row)) for row in rows)


def test_the_bundled_sample_corpus_is_what_the_generator_writes(tmp_path: Path) -> None:
    write_text(tmp_path, 10, 10)
    assert (tmp_path / "sample.jsonl").read_bytes() == SAMPLE_CORPUS.read_bytes()
    assert len(SAMPLE_CORPUS.read_text(encoding="utf-8").splitlines()) == SAMPLE


@pytest.mark.parametrize("topic", list(SUBJECTS), ids=lambda topic: topic.__name__)
def test_every_subject_is_whole_sentences_with_every_gap_filled(topic: Topic) -> None:
    rng = Random(7)
    for _ in range(300):
        for question, reply in topic(rng):
            assert question.strip() and reply == reply.strip() and reply
            assert not set("[]{}|") & set(reply + question)
            assert "  " not in reply and reply[0].isupper()
            assert reply[-1] in ".!?," or "\n" in reply


def test_stories_and_pages_have_no_gaps() -> None:
    for text in documents(500):
        assert not set("[]{}|") & set(text) and "  " not in text


def test_a_choice_inside_a_choice_is_made_too() -> None:
    made = {expand("[a|[b|c]] d", Random(seed)) for seed in range(40)}
    assert made == {"a d", "b d", "c d"}


def test_questions_are_typed_in_many_ways() -> None:
    rng = Random(3)
    typed = {asked(rng, "What is the sea?") for _ in range(200)}
    assert {"What is the sea?", "what is the sea", "What's the sea?", "what's the sea"} <= typed


def test_the_captain_says_it_in_his_way() -> None:
    said = in_his_manner("You are my friend, and the sea is calm.", Random(1))
    assert "Ye are me matey, and the sea is calm" in said
