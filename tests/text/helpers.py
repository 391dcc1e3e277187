"""What the text tests share: the real tokenizers and templates by name, conversations, and the oracle."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"
TOKENIZERS = (
    "tokenizers/gpt2",
    "tokenizers/llama-2",
    "tokenizers/phi-2",
    "tokenizers/phi-3-mini",
    "tokenizers/qwen2.5-0.5b-instruct",
    "tokenizers/smollm2-instruct",
    "tokenizers/tinyllama-1.1b-chat",
    "models/stories3M",
    "models/stories260K",
)
TEMPLATES = sorted(path.name for path in (FIXTURES / "chat_templates").glob("*.jinja"))
MARKED = [name for name in TEMPLATES if "_training" in name]

SYSTEM = {"role": "system", "content": "Be brief. <b>&amp;</b>"}
ONE_TURN = [
    {"role": "user", "content": "Hi 👋🏽, who\nare you?  "},
    {"role": "assistant", "content": " I am 語の模型 — “naïve” ✓ "},
]
MANY_TURNS = [
    *ONE_TURN,
    {"role": "user", "content": "日本語で\n\n- eins\n- zwei"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nはい。"},
]
CONVERSATIONS = {
    "question": ONE_TURN[:1],
    "one turn": ONE_TURN,
    "many turns": MANY_TURNS,
    "system": [SYSTEM, *ONE_TURN],
    "missing content": [*ONE_TURN[:1], {"role": "assistant", "content": "x", "tool_calls": None}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "in parts"}]}, ONE_TURN[1]],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "wetter",
            "description": "Wie wird's? <é>",
            "parameters": {"type": "object", "properties": {"ort": {"type": "string"}}},
        },
    }
]
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"type": "function", "id": "abcdefghi", "function": {"name": "wetter", "arguments": {"ort": "Zürich"}}}
    ],
}
TOOL_TURNS = [
    *ONE_TURN[:1],
    CALL,
    {"role": "tool", "name": "wetter", "tool_call_id": "abcdefghi", "content": '{"grad": 21}'},
    {"role": "assistant", "content": "21 °C"},
]


@lru_cache(16)
def oracle_tokenizer(directory: Path) -> Any:
    """transformers' tokenizer of the file as it stands.

    Not AutoTokenizer: from version 5 on, some of its classes replace what the file was saved with (see
    test_tokenizer_parity.py).
    """
    from transformers import PreTrainedTokenizerFast

    oracle = PreTrainedTokenizerFast.from_pretrained(str(directory))
    assert (
        json.loads(oracle.backend_tokenizer.to_str())["normalizer"]
        == (json.loads((directory / "tokenizer.json").read_bytes())["normalizer"])
    )
    return oracle
