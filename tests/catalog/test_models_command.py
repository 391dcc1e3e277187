"""`loralab models list|show|verify` against a Hub on this computer, and the catalogue against real configurations."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.catalog.models import Figures, catalog_models
from loralab_core.catalog.pocket import POCKET
from loralab_core.hardware.room import Room
from loralab_core.planning.footprint import Verdict, figures_of, need, train_bytes
from loralab_core.runs.config import Optimizer
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
    facts = show(hub, tmp_path)
    assert facts["directory"] == place and facts["download"] == {}
    for model in (ID, place):
        done = loralab(tmp_path, "http://127.0.0.1:9", "models", "show", model)
        assert done.returncode == 0 and "nothing, it is all here" in done.stdout
        assert place in done.stdout and "licence" not in done.stdout


def test_list_is_the_catalogue_and_what_is_on_disk(hub: Hub, tmp_path: Path) -> None:
    place = loralab(tmp_path, hub.address, "models", "pull", ID).stdout.strip()
    hub.asked.clear()
    listed = json.loads(loralab(tmp_path, hub.address, "models", "list", "--json").stdout)
    assert [model["id"] for model in listed["models"]] == [model.id for model in catalog_models()]
    assert [(one["id"], one["directory"]) for one in listed["on_disk"]] == [(str(POCKET),) * 2, (ID, place)]
    for one in listed["models"] + listed["on_disk"]:
        assert one["train_bytes_at_least"] > 0 and one["here"] in get_args(Verdict), one
    said = loralab(tmp_path, hub.address, "models").stdout
    assert f"on disk: {place}" in said and "accept its licence on the Hub first" in said
    assert "as published" in said, "nobody has compared the catalogue with the Hub yet"
    assert not hub.asked


def test_another_revision_on_disk_is_listed_as_what_brings_it_back(hub: Hub, tmp_path: Path) -> None:
    hub.branches["refs/pr/3"] = "d" * 40
    place = loralab(tmp_path, hub.address, "models", "pull", f"{ID}@refs/pr/3").stdout.strip()
    listed = json.loads(loralab(tmp_path, hub.address, "models", "list", "--json").stdout)
    assert [(one["id"], one["directory"]) for one in listed["on_disk"][1:]] == [(f"{ID}@refs/pr/3", place)]
    again = loralab(tmp_path, hub.address, "models", "pull", listed["on_disk"][1]["id"], HF_HUB_OFFLINE="1")
    assert again.stdout.strip() == place


@pytest.mark.parametrize(
    ("free", "total", "here"), [(300, 300, "fits"), (140, 300, "tight"), (1, 300, "tight"), (1, 99, "too big")]
)
def test_what_fits_leaves_room_for_a_batch(free: int, total: int, here: str) -> None:
    figures = Figures(100_000_000 // 2, 64)  # of whose adapter nothing is known: the weights alone
    assert train_bytes(figures, "bf16") == 100_000_000
    with_adapter = Figures(0, 64, 256)
    assert [train_bytes(with_adapter, "bf16", name) for name in get_args(Optimizer)] == [4096, 2568, 2048]
    million = 1_000_000
    assert need(figures, Room("cuda:0", free * million, total * million, half="bf16")).here == here


def test_what_is_stored_quantised_needs_less_where_that_is_multiplied() -> None:
    figures = Figures(1_000_000, 64, 1000, 0, 100_000)
    dense, quantised = (
        need(figures, Room("cpu", 10**9, 10**9, half="bf16", quantised=able), "nf4") for able in (False, True)
    )
    assert (dense.base, quantised.base) == ("fp32", "nf4")
    assert dense.train - quantised.train == 4_000_000 - (464_400 + 100_000)
    assert need(figures, Room("cpu", 10**9, 10**9, half="bf16", quantised=True)).base == "fp32"


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
        "from loralab_core.catalog.models import Figures\n"
        f"print(check_entry(model, lambda raw, source: Figures({PARAMETERS}, 64, 7, 8)).differences)"
    )
    right = CatalogModel(ID, PARAMETERS, "MIT", 64, "", len(weights()), 7, 8, gated=True)
    wrong = CatalogModel(ID, PARAMETERS + 1, "gpl", 65, "", 1, 9)
    assert check(hub, tmp_path, program, right) == "[]"
    said = check(hub, tmp_path, program, wrong)
    for fact in ("parameters", "licence", "context", "bytes", "gated", "adapter_parameters"):
        assert f"{fact} is " in said
    assert "cache_numbers is 8, not written down yet" in said


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
            assert figures_of(config) == model.figures, model.id
            compared += 1
    assert compared >= 20


def test_the_catalogue_is_sorted_and_names_each_model_once() -> None:
    models = catalog_models()
    assert sorted(models, key=lambda model: model.parameters) == models
    assert len({model.id for model in models}) == len(models)
