"""What is shipped: both commands, data files, no torch needed for building."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_building_needs_no_torch() -> None:
    assert not any("torch" in requirement for requirement in PROJECT["build-system"]["requires"])


def test_continuous_integration_runs_make_test_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split("\n")
    }
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["test"]
    names = {requirement.split(">")[0].split("=")[0].split("<")[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pinned


def test_both_commands_are_installed() -> None:
    assert PROJECT["project"]["scripts"] == {
        "loralab": "loralab_core.cli.main:main",
        "loralab-tui": "loralab_tui.__main__:main",
    }
