"""An answer that was cut goes on where it ended: the two halves are the answer that was never cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from loralab_core.runs.directory import find_run
from loralab_core.wire.client import Client
from loralab_core.wire.launch import ensure_engine
from loralab_core.wire.messages import Generate, Sampling
from tests.engine.driving import Heard, listen, loralab, small_training
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("engine")

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
QUESTION = {"role": "user", "content": "Tell me of Lily and her cat"}


@pytest.fixture(scope="module")
def models(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that has no template, and one whose template trims."""
    found = {kind: tmp_path_factory.mktemp(kind) for kind in ("plain", "trimming")}
    for place in found.values():
        for file in (fixtures_dir / "models" / "stories3M").iterdir():
            (place / file.name).symlink_to(file)
    (found["trimming"] / "chat_template.jinja").write_text(CHATML)
    return found


@pytest.fixture(params=["plain", "trimming"])
def client(request: pytest.FixtureRequest, models: dict[str, Path]) -> Client:
    return Client(ensure_engine(str(models[request.param]), "fp32", "cpu"))


def ask(client: Client, tokens: int, **asked: Any) -> Heard:
    sampling = Sampling(max_new_tokens=tokens)
    request = Generate(id=client.next_id(), sampling=sampling, **{"speaker": "base"} | asked)
    client.send(request)
    return listen(client, request.id)


def go_on(client: Client, begun: str, tokens: int, **asked: Any) -> Heard:
    turns = [QUESTION, {"role": "assistant", "content": begun}]
    return ask(client, tokens, messages=turns, continue_final_message=True, **asked)


def said(heard: Heard) -> str:
    assert heard.started and heard.ended
    assert "".join(heard.pieces) == heard.ended.text, "what is new, and nothing else"
    return heard.started.begun + heard.ended.text


def test_an_answer_of_two_halves_is_the_whole_one(client: Client) -> None:
    with client:
        whole = ask(client, 40, messages=[QUESTION])
        first = ask(client, 10, messages=[QUESTION])
        second = go_on(client, said(first), 30)
        assert first.ended and first.ended.finish == "length"
        assert second.started and second.started.begun == said(first)
        assert said(second) == said(whole) != said(first)
        text = ask(client, 20, prompt="Once upon a time")
        assert text.ended
        more = ask(client, 20, prompt="Once upon a time" + text.ended.text)
        assert said(text) + said(more) == said(ask(client, 40, prompt="Once upon a time"))


@pytest.mark.parametrize(("client", "read"), [("plain", "Lily had \n"), ("trimming", "Lily had")], indirect=["client"])
def test_what_the_template_trims_is_told(client: Client, read: str) -> None:
    with client:
        padded = go_on(client, "Lily had \n", 12)
        assert padded.started and padded.started.begun == read
        assert said(padded) == said(go_on(client, read, 12))


def test_the_run_keeps_the_question_and_the_whole_answer(fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=2))
    run = find_run("last")
    with Client(ensure_engine(str(fixtures_dir / "models" / "stories260K"), "fp32", "cpu")) as client:
        first = ask(client, 8, messages=[QUESTION], speaker="lora", run=str(run.path))
        second = go_on(client, said(first), 8, speaker="lora", run=str(run.path))
        assert second.started and second.started.step == 2
    kept = [json.loads(line) for line in run.chat_path.read_text().splitlines()]
    assert [one["messages"] for one in kept] == [[QUESTION], [QUESTION]]
    assert [one["text"] for one in kept] == [said(first), said(second)]
    assert [one.get("begun") for one in kept] == [None, said(first)]
