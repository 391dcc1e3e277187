import math
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_tui import words
from loralab_tui.chat.history import read_chat
from loralab_tui.plan import plan_from
from loralab_tui.widgets.header import fit
from loralab_tui.widgets.message import without_empty_stretches


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.size(999), "999 B"),
        (words.size(1_115_394), "1.1 MB"),
        (words.size(141e9), "141 GB"),
        (words.size(None), "–"),
        (words.clock(127), "2:07"),
        (words.clock(3725), "1:02:05"),
        (words.clock(math.inf), "–"),
        (words.count(338_123), "338k"),
        (words.rate(2e-4), "2e-4"),
        (words.rate(1.7e-4), "1.7e-4"),
        (words.real(math.nan), "not a number"),
        (words.ago(90000), "1 day ago"),
        (words.shorten("tinyshakespeare.txt", 9), "tiny….txt"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_names_share_the_room_in_the_header() -> None:
    assert fit("short", "a-very-long-corpus-name.txt", 20) == ("short", "a-very-…ame.txt")
    assert all(len(name) <= 10 for name in fit("m" * 30, "c" * 30, 20))


def test_line_breaks_without_words_are_counted() -> None:
    assert without_empty_stretches("a\n\nb") == "a\n\nb"
    assert without_empty_stretches("a" + "\n" * 50 + "b") == "a\n… 49 empty lines\nb"


def test_what_train_will_do_is_one_sentence() -> None:
    plan = plan_from({"rank": "16", "steps": "120", "lr": "2e-3", "epochs": "", "base": "bf16", "seq_len": "256"})
    assert plan.sentence("/data/plays.txt", "plain text, 1.1 MB") == (
        "trains an adapter of rank 16 on plays.txt (plain text, 1.1 MB) for 120 steps: "
        "8 sequences of 256 tokens a step, learning rate 2e-3. The model itself is kept as bf16."
    )
    assert plan.asked_dict == {"rank": 16, "steps": 120, "lr": 2e-3, "base": "bf16", "seq_len": 256}


@pytest.mark.parametrize(("field", "called"), [("rank", "rank"), ("lr", "learning rate"), ("batch", "batch")])
def test_a_setting_that_does_not_fit_is_named(field: str, called: str) -> None:
    with pytest.raises(BadInput, match=called):
        plan_from({field: "-1"})


def test_the_chat_of_a_run_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text(
        '{"time": 1, "speaker": "base", "prompt": "Once", "text": "upon", "step": null}\n'
        "{torn\n"
        '{"time": 2, "speaker": "lora", "messages": [{"role": "user", "content": "who?"}], "text": "I", "step": 7}\n'
    )
    first, second = read_chat(tmp_path)
    assert (first.question, first.text) == ("Once", "upon")
    assert (second.question, second.step) == ("who?", 7)
    assert read_chat(tmp_path / "nowhere") == []
