"""A raw row made into what is trained on: a document, or a conversation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput
from loralab_core.text.formats import Format
from loralab_core.text.readers import RawRow
from loralab_core.text.turns import Message

_ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
    "tool": "tool",
    "function_call": "function_call",
    "tool_call": "function_call",
}


@dataclass(frozen=True, slots=True)
class TextSample:
    text: str


@dataclass(frozen=True, slots=True)
class ChatSample:
    """`messages`: role/content dicts as templates take them. `tools`: JSON schemas or None."""

    messages: list[Message]
    tools: list[Any] | None = None


Sample = TextSample | ChatSample


def sample_of(row: RawRow, format: Format, path: Path) -> Sample:
    """The sample in `row`; BadInput names the file, the line and the field that does not fit."""
    try:
        return _READ[format.kind](row.value, format)
    except _Misfit as misfit:
        raise BadInput(f"{path}, {row.where} {misfit}; the file was read as {format.words}") from None


class _Misfit(Exception):
    """A row that is not of its file's format; the message continues "FILE, line N …"."""


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise _Misfit("is not a JSON object")
    if name not in row or row[name] is None:
        raise _Misfit(f"has no {name!r}")
    return row[name]


def _text(row: Any, name: str) -> str:
    value = _field(row, name)
    if not isinstance(value, str):
        raise _Misfit(f"has a {name!r} that is not text")
    return value


def _read_text(row: Any, format: Format) -> Sample:
    if format.fields:
        return TextSample(_text(row, format.fields[0]))
    if not isinstance(row, str):
        raise _Misfit("is not a JSON string")
    return TextSample(row)


def _read_messages(row: Any, format: Format) -> Sample:
    turns = _field(row, format.fields[0])
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise _Misfit(f"has {format.fields[0]!r} that are not a list of objects")
    return ChatSample([_message(turn) for turn in turns], _tools(row))


def _message(turn: dict[str, Any]) -> Message:
    if not isinstance(turn.get("role"), str):
        raise _Misfit("has a message without a 'role'")
    message = {**turn, "role": "system" if turn["role"] == "developer" else turn["role"]}
    message.pop("loss_weight", None)
    if not isinstance(message.get("tool_calls") or [], list):
        raise _Misfit("has a message whose 'tool_calls' is not a list")
    message["content"] = _content(turn.get("content"))
    return message


def _content(content: Any) -> str:
    """Plain text of a message; parts are joined, a missing content (a bare tool call) is empty."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise _Misfit("has a message whose 'content' is neither text nor a list")
    return "".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text", part.get("value")) if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise _Misfit("has a content part that is not text")
    return text


def _read_sharegpt(row: Any, format: Format) -> Sample:
    turns = _field(row, format.fields[0])
    if not isinstance(turns, list):
        raise _Misfit(f"has {format.fields[0]!r} that are not a list")
    messages = [_sharegpt_message(turn) for turn in turns]
    if isinstance(system := row.get("system"), str) and system and (not messages or messages[0]["role"] != "system"):
        messages.insert(0, {"role": "system", "content": system})
    return ChatSample(messages, _tools(row))


def _sharegpt_message(turn: Any) -> Message:
    role = _ROLES.get(str(_field(turn, "from")).lower())
    if role is None:
        raise _Misfit(f"has a turn from {turn['from']!r}, which is no known role")
    text = _content(turn.get("value"))
    if role == "function_call":
        return _function_call(text)
    return {"role": role, "content": text}


def _function_call(text: str) -> Message:
    """A tool call in the form templates know; a call that is no JSON stays the assistant's text."""
    try:
        calls = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"role": "assistant", "content": text}
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        return {"role": "assistant", "content": text}
    functions = [{"name": call["name"], "arguments": call.get("arguments", {})} for call in calls]
    called = [{"type": "function", "function": function} for function in functions]
    return {"role": "assistant", "content": "", "tool_calls": called}


def _tools(row: Any) -> list[Any] | None:
    tools = row.get("tools") if isinstance(row, dict) else None
    if isinstance(tools, str):
        try:
            tools = msgspec.json.decode(tools)
        except msgspec.DecodeError:
            return None
    return tools if isinstance(tools, list) and tools else None


def _read_alpaca(row: Any, format: Format) -> Sample:
    instruction, output = _text(row, "instruction"), _text(row, "output")
    extra = row.get("input") or ""
    if not isinstance(extra, str):
        raise _Misfit("has an 'input' that is not text")
    return _exchange(row, f"{instruction}\n\n{extra}" if extra.strip() else instruction, output)


def _read_pair(row: Any, format: Format) -> Sample:
    prompt, completion = format.fields
    return _exchange(row, _text(row, prompt), _text(row, completion))


def _exchange(row: Any, prompt: str, completion: str) -> Sample:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    if isinstance(system := row.get("system"), str) and system:
        turns.insert(0, {"role": "system", "content": system})
    return ChatSample(turns)


_READ = {
    "text": _read_text,
    "messages": _read_messages,
    "sharegpt": _read_sharegpt,
    "alpaca": _read_alpaca,
    "pair": _read_pair,
}
