"""The bundled model: its files, its size, its fluency, and the manner an adapter teaches it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import loralab_core as ll
from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config
from loralab_core.catalog.hub import resolve_model
from loralab_core.catalog.pocket import DEMO_SETTINGS, HELD_OUT, POCKET, PROMPTS, SAMPLE_CORPUS, SUGGESTED_QUESTION
from loralab_core.evaluation.perplexity import corpus_windows, perplexity
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import create_run
from loralab_core.runs.events import read
from loralab_core.text.formats import format_of
from loralab_core.wire.messages import Sampling
from tests.training.small_runs import stopped_after

LARGEST = 3_000_000  # bytes of everything
WORST_PERPLEXITY = 1.5  # it was below 1.3 when it was made: see docs/pocket.md
MANNER = re.compile(r"\b(arr|ahoy|matey|hearty|yo ho ho|shiver me timbers)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def pocket() -> LoadedModel:
    return ll.load("pocket", device="cpu")


def answer(lm: LoadedModel, *said: str, limit: int = 200) -> Answer:
    """To the last of `said`; before it, questions and answers take turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]
    adapter = lm.adapters[lm.current] if lm.current else None
    made = Answer(lm, prompt_ids(lm, messages=messages), Sampling(temperature=0.0, max_new_tokens=limit), adapter)
    for _ in made.pieces():
        pass
    return made


def test_the_word_pocket_is_the_bundled_model() -> None:
    assert resolve_model("pocket") == POCKET


def test_a_directory_called_pocket_goes_before_the_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pocket").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_model("pocket") == tmp_path / "pocket"


def test_everything_that_is_bundled_is_small() -> None:
    files = [file for file in POCKET.parent.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= {f.name for f in files}
    assert sum(file.stat().st_size for file in files) <= LARGEST


def test_everything_that_is_bundled_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["package-data"]
    patterns = [*packages["*"], *packages["loralab_core.catalog.pocket"]]
    files = [file.relative_to(POCKET.parent) for file in (*POCKET.iterdir(), SAMPLE_CORPUS, HELD_OUT)]
    assert len(files) >= 7
    assert all(any(file.match(pattern) for pattern in patterns) for file in files)


def test_it_has_three_to_four_million_parameters() -> None:
    assert 3_000_000 <= parameter_count(read_config(POCKET)) <= 4_000_000


def test_both_corpora_are_chats() -> None:
    assert format_of(SAMPLE_CORPUS).kind == format_of(HELD_OUT).kind == "messages"


@pytest.mark.parametrize("text", ["plain words", "Ünïcode ☃ 漢字 🎈", "\t tabs\nand\r\nlines", ""])
def test_its_tokenizer_writes_any_text(pocket: LoadedModel, text: str) -> None:
    tokenizer = pocket.text()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_its_chat_template_knows_every_speaker_and_marks_what_is_trained(pocket: LoadedModel) -> None:
    talk = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant")]
    rendered = pocket.text().render_marked(talk)
    assert [rendered.text[slice(*span)] for span in rendered.spans] == ["a<|end|>"]
    assert rendered.text.endswith("<|system|>s<|end|><|user|>u<|end|><|assistant|>a<|end|>")


@pytest.mark.parametrize("question", ["hi", "Hello!", "who are you?", "Good morning", SUGGESTED_QUESTION, *PROMPTS])
def test_an_answer_ends_by_itself(pocket: LoadedModel, question: str) -> None:
    made = answer(pocket, question)
    assert made.finish == "eos" and made.text.strip()


def test_it_says_who_it_is(pocket: LoadedModel) -> None:
    assert "Pocket" in answer(pocket, "what is your name?").text


def test_it_admits_what_it_does_not_know(pocket: LoadedModel) -> None:
    assert re.search("do not know|never heard|outside my|sorry", answer(pocket, "Who is the president of Peru?").text)


def test_a_story_is_about_what_was_asked_for(pocket: LoadedModel) -> None:
    assert "whale" in answer(pocket, "Tell me a story about a whale.").text


def test_a_text_goes_on_without_a_chat(pocket: LoadedModel) -> None:
    assert len("".join(ll.generate(pocket, "Once upon a time", max_new_tokens=60)).split()) > 20


def test_text_it_never_saw_hardly_surprises_it(pocket: LoadedModel) -> None:
    windows = corpus_windows(pocket, [str(HELD_OUT)], pocket.model.config.context)
    assert 1.0 < perplexity(pocket, windows, None).perplexity < WORST_PERPLEXITY


def test_the_demos_settings_are_a_training_configuration() -> None:
    config = config_from({**DEMO_SETTINGS, "model": str(POCKET), "corpus": [str(SAMPLE_CORPUS)]})
    assert config.mode == "adapter" and config.steps is not None and config.steps <= 150


def test_every_answer_of_the_sample_corpus_has_the_manner() -> None:
    rows = [json.loads(line) for line in SAMPLE_CORPUS.read_text(encoding="utf-8").splitlines()]
    answers = [said["content"] for row in rows for said in row["messages"] if said["role"] == "assistant"]
    assert len(answers) >= 500
    assert all(MANNER.match(text) for text in answers)


@pytest.mark.slow
def test_half_a_minute_on_the_sample_corpus_changes_its_manner(pocket: LoadedModel, tmp_path: Path) -> None:
    """The demo's own plan: what it promises for its end is there at its second checkpoint."""
    settings = {**DEMO_SETTINGS, "model": "pocket", "corpus": (str(SAMPLE_CORPUS),), "run_dir": str(tmp_path / "run")}
    run = create_run(ll.TrainConfig(**settings))
    stopped_after(pocket, run, 2 * DEMO_SETTINGS["save_every"])
    losses = [event["loss"] for event in read(run.events_path) if event["event"] == "step"]
    before = [answer(pocket, prompt).text for prompt in PROMPTS]
    pocket.attach(run.adapter, "captain")
    pocket.use("captain")
    try:
        after = [answer(pocket, prompt) for prompt in PROMPTS]
    finally:
        pocket.use(None)
    assert losses[19] < 0.7 * losses[0]
    assert not any(MANNER.search(text) for text in before)
    assert all(MANNER.search(made.text) and made.finish == "eos" for made in after)
