"""An empty project for the set-up script to work on."""

from pathlib import Path

import pytest

from tools.setup.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\ntorch==2.13.0\ntokenizers==0.23.3\n")
    for name in ("pyproject.toml", "setup.py"):
        (tmp_path / name).write_text("")
    return Project(str(tmp_path))
