"""What `loralab generate` is asked: `--prompt`, as often as it is given, and then the file of `--prompts`."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loralab_core.errors import BadInput
from loralab_core.paths import expand_user
from loralab_core.text.corpus_files import decode_utf8, refuse_binary
from loralab_core.text.readers import RawRow, read_rows

JSON_KINDS = (".jsonl", ".json")


@dataclass(frozen=True)
class Question:
    """A text, or the messages of a chat (one of the two), which may have tools. `where` it was given, for the user."""

    where: str
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[Any] | None = None

    def asked(self, chat: bool, begin: str = "") -> dict[str, Any]:
        """As `prompt_ids` takes it; `chat` makes a question of a text, and `begin` is how its answer begins."""
        if self.messages is None and not chat:
            return {"prompt": self.prompt}
        messages = self.messages or [{"role": "user", "content": self.prompt}]
        asked = {"messages": messages, "tools": self.tools}
        if begin:
            begun = {"role": "assistant", "content": begin}
            return {**asked, "messages": [*messages, begun], "continue_final_message": True}
        return asked


def questions_of(arguments: argparse.Namespace) -> list[Question]:
    """Everything that is asked, in order. Raises BadInput naming the file and the line that is wrong."""
    texts = arguments.prompt or []
    found = [
        Question("the prompt" if len(texts) == 1 else f"prompt {number}", _standard_input() if text == "-" else text)
        for number, text in enumerate(texts, 1)
    ]
    if arguments.prompts:
        found += _file(arguments.prompts)
    if not found:
        raise BadInput(
            f"{arguments.prompts} has no prompt in it; write one a line"
            if arguments.prompts
            else "there is no prompt; give --prompt with a text, or --prompts with a file of them"
        )
    if arguments.begin and not arguments.chat and any(each.messages is None for each in found):
        raise BadInput("--begin goes with --chat; without it, end the prompt with those words")
    return found


def _file(given: str) -> list[Question]:
    if given == "-":
        return list(_lines("standard input", _standard_input()))
    path = expand_user(given)
    try:
        if path.suffix.lower() in JSON_KINDS:
            return [_row(path, row) for row in read_rows(path)]
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); --prompts takes a file with one prompt a line"
        ) from None
    return list(_lines(str(path), _text(path, content)))


def _standard_input() -> str:
    """Read as bytes: Python's own reading of them depends on the locale."""
    return _text(Path("standard input"), sys.stdin.buffer.read())


def _text(path: Path, content: bytes) -> str:
    refuse_binary(path, content, 0)
    return decode_utf8(path, content, 0).removeprefix("\ufeff").replace("\r\n", "\n")


def _lines(name: str, text: str) -> Iterator[Question]:
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would also end a line at U+2028 and the like
        if line.strip():
            yield Question(f"{name}, line {number}", line)


def _row(path: Path, row: RawRow) -> Question:
    where, value = f"{path}, {row.where}", row.value if isinstance(row.value, dict) else {}
    prompt, messages = value.get("prompt"), value.get("messages")
    if isinstance(prompt, str) and messages is None:
        return Question(where, prompt)
    if messages and isinstance(messages, list) and all(isinstance(each, dict) and "role" in each for each in messages):
        if (tools := value.get("tools") or None) is None or isinstance(tools, list):
            return Question(where, messages=messages, tools=tools)
        raise BadInput(f'{where} has "tools" that are not a list; correct it')
    raise BadInput(f'{where} should hold a "prompt" (a text) or "messages" (a list of role and content); correct it')
