"""`loralab generate --chat --begin`: the answer goes on from given words, which are part of it."""

import json
from pathlib import Path

import pytest

from loralab_core.cli.main import main
from loralab_core.text.tokenizer import Tokenizer

ASKED = {"role": "user", "content": "Say </s> to me"}


def _generate(model: Path, *options: str) -> int:
    asked = ("--prompt", str(ASKED["content"]), "--base", "fp32", "--device", "cpu", "--max-new-tokens", "12")
    return main(["generate", "--model", str(model), *asked, *options])


def test_the_answer_goes_on_from_the_words(fixtures_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fixtures_dir / "models" / "stories3M"
    assert _generate(model, "--chat", "--begin", "Once upon a", "--greedy", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["text"].startswith("Once upon a time") and said["new_tokens"] == 12
    begun = [ASKED, {"role": "assistant", "content": "Once upon a"}]
    ids = Tokenizer.load(model).encode_chat(begun, add_generation_prompt=False, continue_final_message=True)
    assert said["prompt_tokens"] == len(ids) and 2 not in ids
    assert _generate(model, "--chat", "--begin", "Once upon a", "--greedy") == 0
    assert capsys.readouterr().out == said["text"] + "\n"


def test_white_space_that_the_template_trims_is_the_models_to_write(
    fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (fixtures_dir / "models" / "stories3M").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content | trim }}\n{% endfor %}")
    texts = []
    for begin in ("Once upon", "  Once upon "):
        assert _generate(tmp_path, "--chat", "--begin", begin, "--greedy", "--json") == 0
        texts.append(json.loads(capsys.readouterr().out)["text"])
    assert texts[0] == texts[1] and texts[0].startswith("Once upon a time")


def test_words_without_a_chat_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _generate(tmp_path, "--begin", "Once") == 2
    said = capsys.readouterr().err
    assert "--chat" in said and said.count("\n") == 1
