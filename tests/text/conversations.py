"""Conversations of every kind a template may meet, well formed or not."""

from typing import Any

from tests.text.helpers import CALL, TOOLS

Turn = dict[str, Any]


def user(content: Any, **fields: Any) -> Turn:
    return {"role": "user", "content": content, **fields}


def assistant(content: Any, **fields: Any) -> Turn:
    return {"role": "assistant", "content": content, **fields}


def system(content: Any) -> Turn:
    return {"role": "system", "content": content}


TEXT_CALL = {"type": "function", "id": "abcdefghi", "function": {"name": "w", "arguments": '{"ort": "Z"}'}}
DEEP_CALL = {
    "type": "function",
    "id": "123456789",
    "function": {"name": "w", "arguments": {"n": [1, None, True, 1.5, {"<é>": "\u2028"}], "leer": {}}},
}
RESULT = {"role": "tool", "name": "wetter", "tool_call_id": "abcdefghi", "content": '{"grad": 21}'}
THOUGHT = assistant("<think>\nx\n</think>\n\nb")

EVERY: dict[str, list[Turn]] = {
    "nothing at all": [],
    "system alone": [system("be brief")],
    "system empty": [system(""), user("x")],
    "system padded": [system("  s \n"), user("x"), assistant("y")],
    "system twice": [system("a"), system("b"), user("c")],
    "system late": [user("a"), system("s"), assistant("b")],
    "empty question": [user("")],
    "empty answer": [user("a"), assistant("")],
    "padded": [user("  a \n"), assistant("\n\n b\t ")],
    "three rounds": [user("a"), assistant("b"), user("c"), assistant("d"), user("e"), assistant("f")],
    "assistant first": [assistant("b"), user("c")],
    "two questions": [user("a"), user("b")],
    "two answers": [user("a"), assistant("b"), assistant("c")],
    "call": [user("a"), CALL, RESULT, assistant("ok")],
    "call open": [user("a"), CALL],
    "call without content": [user("a"), {"role": "assistant", "tool_calls": CALL["tool_calls"]}, RESULT],
    "call with null content": [user("a"), {**CALL, "content": None}, RESULT, assistant("ok"), user("more")],
    "calls with text": [user("a"), assistant("so", tool_calls=[TEXT_CALL, DEEP_CALL]), RESULT, RESULT, assistant("ok")],
    "call bare": [user("a"), assistant("", tool_calls=[{"name": "w", "arguments": {"a": 1}}]), RESULT],
    "calls empty": [user("a"), assistant("b", tool_calls=[])],
    "result as object": [user("a"), CALL, {**RESULT, "content": {"grad": 21, "x": None}}, assistant("b")],
    "reasoning": [
        user("a"),
        assistant("b", reasoning_content="\nhm\n"),
        user("c"),
        assistant("d", reasoning_content="x"),
    ],
    "reasoning by other names": [user("a"), assistant("b", thinking="t"), user("c"), assistant("d", reasoning="r")],
    "reasoning thrice": [user("a"), assistant("b", reasoning_content="1", thinking="2", reasoning="3")],
    "reasoning null": [user("a"), assistant("b", reasoning_content=None)],
    "reasoning empty": [user("a"), assistant("b", reasoning_content="")],
    "reasoning in the text": [user("a"), THOUGHT, user("c"), assistant("<think>y</think>d")],
    "parts": [user([{"type": "text", "text": "in "}, {"type": "text", "text": " parts"}]), assistant("b"), user("c")],
    "answer in parts": [user("a"), assistant([{"type": "text", "text": " b "}])],
    "system in parts": [system([{"type": "text", "text": "s"}]), user([{"type": "text", "text": "u"}])],
    "image": [user([{"type": "image", "url": "x"}, {"type": "text", "text": "what"}]), assistant("b")],
    "no parts": [user([]), assistant("b")],
    "unknown part": [user([{"type": "foo", "foo": 1}])],
    "parts as strings": [user(["a", "b"])],
    "unknown fields": [user("a", name="bob", weight=0, extra={"a": [1]}), assistant("b", score=1.5, prefix=True)],
    "unknown role": [{"role": "critic", "content": "x"}, user("a")],
    "no role": [{"content": "x"}],
    "null content": [user(None)],
    "number": [user(5), assistant("b")],
    "look-alikes": [user("<|im_end|> <s> [INST] <|eot_id|> </think>"), assistant("x</s>")],
    "odd characters": [user("a\r\nb\u2028c\x00d\x85\ufeff"), assistant("e\u0301 👩‍👩‍👧")],
    "markup": [user("<b>&amp;'\"</b>{{ x }}{% y %}"), assistant("`\\n`")],
}
TOOL_LISTS = {
    "no tools": None,
    "empty list": [],
    "bare function": [TOOLS[0]["function"]],
    "two": [
        *TOOLS,
        {
            "type": "function",
            "function": {
                "name": "n",
                "parameters": {
                    "type": "object",
                    "properties": {"n": {"type": "array", "items": {"type": ["integer", "null"]}, "default": None}},
                    "required": ["n"],
                    "additionalProperties": False,
                },
                "strict": True,
            },
        },
    ],
}
