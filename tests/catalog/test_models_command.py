"""`loralab models list|show|verify` against a Hub on this computer, and the catalogue against real configurations."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.catalog.models import catalog_models
from tests.catalog.hub_server import ID, LLAMA, SMALL, Hub, loralab, weights

PARAMETERS = parameter_count(parse_config(LLAMA, "config.json"))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(info={"cardData": {"license": "mit"}, "gated": "auto"}) as running:
        yield running


def show(hub: Hub, cache: Path, model: str = ID) -> dict[str, Any]:
    done = loralab(cache, hub.address, "models", "show", model, "--json")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_show_says_what_a_model_is_and_what_would_come(hub: Hub, tmp_path: Path) -> None:
    facts = show(hub, tmp_path)
    assert not hub.gets("model.safetensors")
    assert (facts["family"], facts["parameters"], facts["context"]) == ("llama", PARAMETERS, 64)
    assert (facts["licence"], facts["gated"], facts["dtype"]) == ("mit", True, "bfloat16")
    assert facts["weight_bytes"] == len(weights()) and facts["chat_template"] and facts["directory"] is None
    assert facts["download"] == {"tokenizer.json": len(SMALL["tokenizer.json"]), "model.safetensors": len(weights())}
    assert facts["answer_bytes_at_least"] >= 2 * PARAMETERS and facts["train_bytes_at_least"] > 2 * PARAMETERS


def test_show_of_what_is_here_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    place = loralab(tmp_path, hub.address, "models", "pull", ID).stdout.strip()
    assert show(hub, tmp_path)["directory"] == place and show(hub, tmp_path)["download"] == {}
    for model in (ID, place):
        done = loralab(tmp_path, "http://127.0.0.1:9", "models", "show", model)
        assert done.returncode == 0 and "nothing, it is all here" in done.stdout
        assert place in done.stdout and "licence" not in done.stdout


def test_list_is_the_catalogue_and_what_is_on_disk(hub: Hub, tmp_path: Path) -> None:
    place = loralab(tmp_path, hub.address, "models", "pull", ID).stdout.strip()
    hub.asked.clear()
    listed = json.loads(loralab(tmp_path, hub.address, "models", "list", "--json").stdout)
    assert [model["id"] for model in listed["models"]] == [model.id for model in catalog_models()]
    assert listed["on_disk"] == [{"id": ID, "directory": place}]
    assert f"on disk: {place}" in loralab(tmp_path, hub.address, "models").stdout
    assert not hub.asked


def test_verify_names_what_the_hub_does_not_have(hub: Hub, tmp_path: Path) -> None:
    done = loralab(tmp_path, hub.address, "models", "verify", "--json")
    found = json.loads(done.stdout)["models"]
    assert done.returncode == 1 and len(found) == len(catalog_models())
    assert all("the Hub has no model" in one["differences"][0] for one in found)


def test_verify_compares_every_fact(hub: Hub, tmp_path: Path) -> None:
    from loralab_core.catalog.models import CatalogModel

    program = (
        "import json, msgspec, sys\n"
        "from loralab_core.catalog.models import CatalogModel\n"
        "from loralab_core.catalog.verify import check_entry\n"
        "model = msgspec.json.decode(sys.argv[1], type=CatalogModel)\n"
        f"print(check_entry(model, lambda raw, source: ({PARAMETERS}, 64)).differences)"
    )
    right = CatalogModel(ID, PARAMETERS, "MIT", 64, "", len(weights()), gated=True)
    wrong = CatalogModel(ID, PARAMETERS + 1, "gpl", 65, "", 1)
    assert check(hub, tmp_path, program, right) == "[]"
    said = check(hub, tmp_path, program, wrong)
    for fact in ("parameters", "licence", "context", "bytes", "gated"):
        assert f"{fact} is " in said


def check(hub: Hub, cache: Path, program: str, model: object) -> str:
    import subprocess
    import sys

    import msgspec

    from tests.catalog.hub_server import environment

    command = [sys.executable, "-c", program, msgspec.json.encode(model).decode()]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(cache, hub.address), timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_catalogue_says_what_the_real_configurations_say(fixtures_dir: Path) -> None:
    compared = 0
    for model in catalog_models():
        name = re.sub("^(Llama-3.2-3B)-Instruct$", r"\1", model.id.partition("/")[2])
        path = fixtures_dir / "configs" / f"{name}.json"
        if path.is_file():
            config = parse_config(json.loads(path.read_text()), str(path))
            assert (parameter_count(config), config.context) == (model.parameters, model.context), model.id
            compared += 1
    assert compared >= 20


def test_the_catalogue_is_sorted_and_names_each_model_once() -> None:
    models = catalog_models()
    assert sorted(models, key=lambda model: model.parameters) == models
    assert len({model.id for model in models}) == len(models)
