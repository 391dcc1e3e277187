"""The set-up script: which Python, whose torch, and nothing done twice."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at work on an empty project."""
    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / "tools" / "setup_venv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    places = {
        "ROOT": tmp_path,
        "VENV": venv,
        "VENV_PYTHON": venv / "bin" / "python",
        "PINS": tmp_path / "constraints.txt",
    }
    for name, place in {**places, "VENV_PINS": venv / "constraints.txt"}.items():
        monkeypatch.setattr(module, name, str(place))
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\ntorch==2.13.0\ntokenizers==0.23.3\n")
    for name in ("pyproject.toml", "setup.py"):
        (tmp_path / name).write_text("")
    return module


def python(setup: ModuleType, program: str) -> str:
    return subprocess.run([setup.VENV_PYTHON, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def this_python(setup: ModuleType, drives_gpu: bool, site_packages: str = "") -> object:
    return setup.Interpreter(sys.executable, (3, 11), drives_gpu, "2.11.0", site_packages)


def fake_torch(place: Path, available: bool) -> str:
    package = place / "others" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"class cuda:\n    is_available = staticmethod(lambda: {available})\n")
    return str(package.parent)


def test_a_torch_that_drives_the_gpu_is_shared_and_not_pinned(setup: ModuleType, tmp_path: Path) -> None:
    assert setup.create(this_python(setup, True, fake_torch(tmp_path, True))) is True
    assert python(setup, "import torch; print(torch.cuda.is_available())") == "True"
    setup.write_pins(True)
    assert setup.shares_torch()
    assert Path(setup.VENV_PINS).read_text() == "numpy==2.4.6\ntokenizers==0.23.3\n"


def test_one_that_does_not_work_from_there_is_left_alone(setup: ModuleType, tmp_path: Path) -> None:
    assert setup.create(this_python(setup, True, fake_torch(tmp_path, False))) is False
    assert python(setup, "import importlib.util as i; print(i.find_spec('torch'))") == "None"
    setup.write_pins(False)
    assert not setup.shares_torch() and "torch==2.13.0" in Path(setup.VENV_PINS).read_text()


def test_a_python_that_is_too_old_or_does_not_run_is_passed_over(setup: ModuleType, tmp_path: Path) -> None:
    for name, script in {"old": "#!/bin/sh\nprintf '3.9\\nno -\\n\\n'\n", "broken": "#!/bin/sh\nexit 127\n"}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
        assert setup.probe(str(tmp_path / name), False) is None
    assert setup.probe(sys.executable, False).version == sys.version_info[:2]


def test_done_once_until_a_file_changes(setup: ModuleType, tmp_path: Path) -> None:
    assert not setup.is_installed("run")
    setup.create(this_python(setup, False))
    Path(setup.stamp_path("test")).write_text(setup.fingerprint("test"))
    assert setup.is_installed("test") and setup.is_installed("run"), "the test set includes the run set"
    (tmp_path / "pyproject.toml").write_text("[project]")
    assert not setup.is_installed("test")
