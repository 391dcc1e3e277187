"""docs/models.md is what the families, the catalogue, the recorded parity and the refusals give today."""

import json
from pathlib import Path

import pytest

from loralab_core.catalog.models import catalog_models
from tests.models import parity
from tests.models.families import FAMILIES
from tests.models.published import reading
from tests.text.helpers import TOKENIZERS
from tools.models_page.__main__ import PAGE
from tools.models_page.page import page
from tools.models_page.tables import family_modules, read_report


def test_the_page_is_what_its_generator_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tools.models_page`"


def test_every_shape_of_every_family_was_measured_and_stands_the_test() -> None:
    families = read_report()["families"]
    assert {name: len(shapes) for name, shapes in families.items()} == {n: len(all_) for n, all_ in FAMILIES.items()}
    for shape in (shape for shapes in families.values() for shape in shapes):
        errors = ("float32_logit_error", "float32_logit_error_with_the_cache", "lora_gradient_error")
        assert max(shape[name] for name in errors) < parity.ALIKE
        limit = parity.bf16_limit(shape["shape"]["experts"] is not None)
        assert shape["greedy_text_equal"] and shape["bf16_error_over_the_reference_s"] < limit


def test_every_family_says_which_models_it_is() -> None:
    for name, module in family_modules().items():
        assert ": " in (module.__doc__ or "").splitlines()[0], name


def test_the_page_names_the_tokenizers_that_are_tested() -> None:
    text = PAGE.read_text(encoding="utf-8").lower().replace(" ", "-")
    for name in TOKENIZERS:
        assert name.rpartition("/")[2].lower() in text, name


def test_nothing_is_called_compared_with_the_hub_that_was_not() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for model in catalog_models():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{model.id}`"))
        assert row.endswith(f"| {'yes' if model.verified else 'no'} |")


def test_published_configurations_are_read_as_recorded(fixtures_dir: Path) -> None:
    files = sorted((fixtures_dir / "configs").glob("*.json"))
    assert read_report()["configs"] == {file.stem: reading(file.stem, json.loads(file.read_text())) for file in files}


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_it_is_linked(name: str) -> None:
    assert "models.md)" in (PAGE.parents[1] / name).read_text(encoding="utf-8")
