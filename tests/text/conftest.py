"""Helpers of the text tests: real tokenizers from the fixtures, and a way to give one another template."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.tokenizer_files import read_tokenizer_files
from tests.text.helpers import FIXTURES

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip(f"the shared fixtures are not at {FIXTURES}")
    return FIXTURES


@pytest.fixture(scope="session")
def load_tokenizer(fixtures_dir: Path) -> Callable[[str], Tokenizer]:
    """Tokenizer of a directory below the fixtures, loaded once."""
    known: dict[str, Tokenizer] = {}

    def load(name: str) -> Tokenizer:
        if name not in known:
            known[name] = Tokenizer.load(fixtures_dir / name)
        return known[name]

    return load


@pytest.fixture
def with_template(fixtures_dir: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """A model directory with the tokenizer `name` and the chat template `source`."""

    def make(name: str, source: str) -> Path:
        directory = tmp_path / "model"
        directory.mkdir(exist_ok=True)
        for file in (fixtures_dir / name).iterdir():
            target = directory / file.name
            if not target.exists() and file.suffix == ".json":
                target.symlink_to(file)
        (directory / "chat_template.jinja").write_text(source, encoding="utf-8")
        return directory

    return make


@pytest.fixture(scope="session")
def load_with_template(
    fixtures_dir: Path, load_tokenizer: Callable[[str], Tokenizer]
) -> Callable[[str, str], Tokenizer]:
    """The tokenizer `name` as its directory would give it with that file's template; its vocabulary is read once."""

    @cache
    def load(name: str, template: str) -> Tokenizer:
        source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
        files = replace(read_tokenizer_files(fixtures_dir / name), templates={"default": source})
        return Tokenizer(load_tokenizer(name).backend, files)

    return load


@pytest.fixture(scope="session")
def plain(load_tokenizer: Callable[[str], Tokenizer]) -> Tokenizer:
    """A tokenizer of a model without a chat template."""
    return load_tokenizer("models/stories3M")


@pytest.fixture(scope="session")
def chatty(load_tokenizer: Callable[[str], Tokenizer]) -> Tokenizer:
    """A tokenizer of a model with a chat template (ChatML)."""
    return load_tokenizer("tokenizers/smollm2-instruct")
