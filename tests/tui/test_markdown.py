"""Answers laid out as lines: Markdown where it is meant, the words as they are everywhere else."""

import pytest

from loralab_tui.chat.harmless import harmless
from loralab_tui.chat.markdown import markdown_lines, sections


def lines(text: str, width: int = 40) -> list[str]:
    return [line.plain.rstrip() for line in markdown_lines(text, width)]


def styles(text: str) -> set[tuple[str, str]]:
    """(words, style) of everything that is marked."""
    (line,) = markdown_lines(text, 80)
    return {(line.plain[span.start : span.end], str(span.style)) for span in line.spans if span.style}


def test_small_stories_stay_as_they_are() -> None:
    story = 'Once there was a cat.\n"Hello," she said. 2 * 3 * 4 is a snake_case_word.\n\nThe end.'
    assert lines(story, 60) == story.split("\n")


def test_marks_become_styles() -> None:
    assert styles("a **bold** and *soft* `code`") == {("bold", "bold"), ("soft", "italic"), ("code", "on $panel")}


def test_lists_quotes_code_and_tables_are_laid_out() -> None:
    assert lines("- a thing that is too long\n  - inner\n3. third", 16) == [
        "• a thing that",
        "  is too long",
        "  • inner",
        "3. third",
    ]
    assert lines("> one\n> two") == ["▏ one", "▏ two"]
    assert lines("```py\nx = [red]1[/]\n    y\n```") == ["x = [red]1[/]", "    y"]
    assert lines("|a|b|\n|-|-|\n|long|c|") == ["a    │ b", "─────┼──", "long │ c"]
    assert lines("|head|b|\n|-|-|\n|a long cell|c|", 9) == ["head: a", "long cell", "b: c"]


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "[" * 10_000, "*a" * 5_000, ">" * 5_000, "- " * 4_000, "`" * 9_999, "|a" * 3_000]
)
def test_heaps_of_marks_lose_no_letters_and_fit(text: str) -> None:
    shown = markdown_lines(text, 60)
    assert all(line.cell_length <= 60 for line in shown)
    assert len("".join(line.plain for line in shown).replace(" ", "")) >= len(text.replace(" ", "")) // 2


def test_a_growing_answer_is_cut_where_a_block_ends() -> None:
    text = "one\ntwo\n\n- a\n\n- b\n\n```\n\ncode\n```\n\nend"
    assert sections(text) == ["one\ntwo\n\n- a\n\n- b", "```\n\ncode\n```", "end"]


def test_what_acts_on_a_terminal_is_taken_out() -> None:
    assert harmless("a\x1b[31mred\x07\x9b1m\r\nb\tc\u202egnp\u2066x\ud800") == "a[31mred1m\nb    cgnpx\ufffd"
    assert harmless("שלום 👩‍🚀 é\n") == "שלום 👩‍🚀 é\n"
