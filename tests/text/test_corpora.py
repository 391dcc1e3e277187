"""What corpora are taken for, and what is said about those that cannot be read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.corpus_files import expand
from loralab_core.text.formats import format_of, open_rows
from loralab_core.text.readers import read_text
from loralab_core.text.samples import ChatSample, TextSample, sample_of


def _samples(path: Path) -> list[TextSample | ChatSample]:
    format, rows = open_rows(path)
    return [sample_of(row, format, path) for row in rows]


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def _turns(sample: TextSample | ChatSample) -> list[tuple[str, str]]:
    assert isinstance(sample, ChatSample)
    return [(message["role"], message["content"]) for message in sample.messages]


Q_AND_A = [("user", "Q"), ("assistant", "A")]


@pytest.mark.parametrize(
    ("row", "words", "turns"),
    [
        ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, "messages", Q_AND_A),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "value": "Q"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
                ]
            },
            "messages",
            Q_AND_A,
        ),
        ({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, "ShareGPT", Q_AND_A),
        (
            {"conversations": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
            "messages",
            Q_AND_A,
        ),
        (
            {"system": "S", "conversations": [{"from": "user", "value": "Q"}, {"from": "assistant", "value": "A"}]},
            "ShareGPT",
            [("system", "S"), *Q_AND_A],
        ),
        ({"instruction": "Q", "input": "", "output": "A"}, "Alpaca", Q_AND_A),
        ({"instruction": "Q", "input": "I", "output": "A"}, "Alpaca", [("user", "Q\n\nI"), ("assistant", "A")]),
        ({"prompt": "Q", "completion": "A"}, "prompt/completion pairs", Q_AND_A),
        ({"question": "Q", "answer": "A"}, "question/answer pairs", Q_AND_A),
        ({"input": "Q", "output": "A"}, "input/output pairs", Q_AND_A),
        ({"prompt": "Q", "response": "A", "text": "both"}, "prompt/response pairs", Q_AND_A),
    ],
)
def test_chat_rows_are_told_by_their_fields(tmp_path: Path, row: object, words: str, turns: object) -> None:
    for path in (_write(tmp_path / "a.jsonl", row, row), tmp_path / "b.json"):
        if path.suffix == ".json":
            path.write_text(json.dumps({"version": 1, "rows": [row, row]}))
        assert words in format_of(path).words
        assert [_turns(sample) for sample in _samples(path)] == [turns, turns]


@pytest.mark.parametrize("row", [{"text": "T", "id": 1}, {"content": "T"}, "T"])
def test_text_rows(tmp_path: Path, row: object) -> None:
    assert _samples(_write(tmp_path / "a.jsonl", row)) == [TextSample("T")]


def test_calls_and_observations_become_tool_turns(tmp_path: Path) -> None:
    call = {"name": "f", "arguments": {"x": 1}}
    row = {
        "conversations": [
            {"from": "human", "value": "Q"},
            {"from": "function_call", "value": json.dumps(call)},
            {"from": "observation", "value": "O"},
            {"from": "gpt", "value": "A"},
        ],
        "tools": json.dumps([{"name": "f"}]),
    }
    (sample,) = _samples(_write(tmp_path / "a.jsonl", row))
    assert isinstance(sample, ChatSample)
    assert [message["role"] for message in sample.messages] == ["user", "assistant", "tool", "assistant"]
    assert sample.messages[1]["tool_calls"][0]["function"] == call
    assert sample.tools == [{"name": "f"}]


def test_json_files_that_hold_lines_are_read_as_lines(tmp_path: Path) -> None:
    assert _samples(_write(tmp_path / "a.json", {"text": "1"}, {"text": "2"})) == [TextSample("1"), TextSample("2")]


def test_byte_order_marks_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "1"}\r\n\r\n  \n{"text": "2"}')
    assert _samples(path) == [TextSample("1"), TextSample("2")]


@pytest.mark.parametrize("block", [1, 7, 1 << 18])
@pytest.mark.parametrize(
    ("content", "documents"),
    [
        ("one\n\ntwo\n", ["one\n\ntwo\n"]),
        ("one\n<|endoftext|>\ntwo\n<|endoftext|>\n", ["one\n", "two\n", ""]),
        ("one <|endoftext|> inline\n", ["one <|endoftext|> inline\n"]),
        ("a\r\n<|endoftext|>\r\nb<|endoftext|>", ["a\r\n", "b<|endoftext|>"]),
        ("é\n\n<|endoftext|>", ["é\n\n", ""]),
    ],
)
def test_a_text_file_is_one_document_unless_lines_separate_several(
    tmp_path: Path, content: str, documents: list[str], block: int
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    found = [""]
    for lines in read_text(path, block):
        found[-1] += lines.text
        if lines.closes:
            found.append("")
    assert found == [*documents, ""]


def test_folders_globs_and_repeated_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "sub/c.jsonl", "sub/d.py", ".hidden/e.txt", "empty.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("" if name == "empty.txt" else '{"text": "x"}')
    assert [path.name for path in expand([tmp_path])] == ["a.md", "b.txt", "c.jsonl"]
    assert [path.name for path in expand([str(tmp_path / "**/*.jsonl"), tmp_path / "sub/c.jsonl"])] == ["c.jsonl"]
    assert [path.name for path in expand([tmp_path / "b.txt", tmp_path / "a.md"])] == ["b.txt", "a.md"]


def _lines(*lines: str) -> bytes:
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n\t\n", "is empty"),
        ("a.txt", b"abc\0def", "NUL at byte 3"),
        ("a.txt", b"fine\n\xff\xfe", "not valid UTF-8 at byte 5"),
        ("a.txt", b"x" * (1 << 20) + b"\nb\xc3", f"not valid UTF-8 at byte {(1 << 20) + 2}"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "not valid UTF-8 at byte 24"),
        ("a.jsonl", _lines('{"text": "a"}', '{"text": "b"'), "line 2 is not valid JSON"),
        ("a.jsonl", _lines('{"text": "a"}', '{"txt": "b"}'), "line 2 has no 'text'"),
        ("a.jsonl", _lines('{"text": "a"}', "7"), "line 2 is not a JSON object"),
        ("a.jsonl", _lines('{"text": "a"}', '{"text": 7}'), "line 2 has a 'text' that is not text"),
        ("a.jsonl", _lines('{"foo": "a"}'), "no known format has the fields of line 1 .foo."),
        ("a.jsonl", _lines('{"prompt": "a", "completion": "b"}', '{"prompt": "a"}'), "line 2 has no 'completion'"),
        ("a.jsonl", _lines('{"messages": [{"content": "b"}]}'), "line 1 has a message without a 'role'"),
        (
            "a.jsonl",
            _lines('{"messages": [{"role": "assistant", "content": "b", "tool_calls": 7}]}'),
            "line 1 has a message whose 'tool_calls' is not a list",
        ),
        ("a.jsonl", _lines('{"messages": [{"role": "user", "content": 3}]}'), "neither text nor a list"),
        ("a.jsonl", _lines('{"conversations": [{"from": "cat", "value": "b"}]}'), "from 'cat'"),
        ("a.jsonl", _lines('["a"]'), "line 1 is neither an object nor a string"),
        ("a.json", b'[{"text": "a"},\n{"text": "b"', "in line 2"),
        ("a.json", b"[]", "empty array"),
        ("a.json", b"7", "should hold a JSON array"),
        ("a.json", b'{"text": \n "a" "b"}', "in line 2"),
        ("a.csv", b"a,b", "is not a .txt"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(
    tmp_path: Path, read_all: Callable[[Path], None], name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def read_all() -> Callable[[Path], None]:
    def read(path: Path) -> None:
        for file in expand([path]):
            list(read_text(file)) if file.suffix == ".txt" else _samples(file)

    return read


@pytest.mark.parametrize(
    ("given", "words"),
    [("nowhere.txt", "does not exist"), ("*.jsonl", "matches no readable file"), (".", "holds no readable corpus")],
)
def test_paths_that_lead_nowhere_are_named(tmp_path: Path, given: str, words: str) -> None:
    (tmp_path / "code.py").write_text("x")
    with pytest.raises(BadInput, match=words):
        expand([tmp_path / given])
    with pytest.raises(BadInput, match="no corpus was given"):
        expand([])


@pytest.mark.parametrize(
    ("name", "words", "count"),
    [
        ("gsm8k_train.jsonl", "question/answer pairs", 7473),
        ("glaive_toolcall_en_demo.json", "ShareGPT conversations", 300),
        ("instruction-data.alpaca-format.json", "Alpaca instructions", 1100),
        ("v1_sft_demo.jsonl", "chats in messages format", 500),
    ],
)
def test_real_corpora(fixtures_dir: Path, name: str, words: str, count: int) -> None:
    path = fixtures_dir / "corpora" / name
    assert format_of(path).words == words
    assert len(_samples(path)) == count
