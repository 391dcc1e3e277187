"""The set-up script's environment: which Python, whose torch, and nothing done twice."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from tools.setup import environment, interpreters, lock, packages
from tools.setup.project import Project

ROOT = Path(__file__).parents[2]


def python(project: Project, program: str) -> str:
    return subprocess.run([project.python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def this_python(drives_gpu: bool, site_packages: str = "") -> interpreters.Interpreter:
    return interpreters.Interpreter(sys.executable, (3, 11), drives_gpu, "2.11.0", site_packages)


def fake_torch(place: Path, available: bool) -> str:
    package = place / "others" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"class cuda:\n    is_available = staticmethod(lambda: {available})\n")
    return str(package.parent)


# ---- which Python, whose torch


def test_a_torch_that_drives_the_gpu_is_shared_and_not_pinned(project: Project, tmp_path: Path) -> None:
    assert environment.create(project, this_python(True, fake_torch(tmp_path, True))) is True
    assert python(project, "import torch; print(torch.cuda.is_available())") == "True"
    project.write_pins(True)
    assert project.shares_torch()
    assert Path(project.venv_pins).read_text() == "numpy==2.4.6\ntokenizers==0.23.3\n"


def test_one_that_does_not_work_from_there_is_left_alone(project: Project, tmp_path: Path) -> None:
    assert environment.create(project, this_python(True, fake_torch(tmp_path, False))) is False
    assert python(project, "import importlib.util as i; print(i.find_spec('torch'))") == "None"
    project.write_pins(False)
    assert not project.shares_torch() and "torch==2.13.0" in Path(project.venv_pins).read_text()


def test_a_python_that_is_too_old_or_does_not_run_is_passed_over(tmp_path: Path) -> None:
    for name, script in {"old": "#!/bin/sh\nprintf '3.9\\nno -\\n\\n'\n", "broken": "#!/bin/sh\nexit 127\n"}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
        assert interpreters.probe(str(tmp_path / name), False) is None
    assert interpreters.probe(sys.executable, False).version == sys.version_info[:2]


def test_an_environment_cut_short_is_made_anew_and_the_lock_stays(project: Project) -> None:
    held = lock.take(project, lambda: True)
    venv = Path(project.venv)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(sys.executable + "-that-went")
    assert not environment.is_usable(project)
    environment.create(project, this_python(False))
    assert environment.is_usable(project) and (venv / ".lock").exists()
    assert lock.take(project, lambda: True) is None, "still the lock that is held"
    assert held is not None


# ---- what is done, once


def test_done_once_until_a_file_changes(project: Project, tmp_path: Path) -> None:
    assert not project.has("run")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.venv], check=True)
    project.write_stamp("test")
    assert project.has("test") and project.has("run") and project.has("screen"), "the test set includes the run set"
    (tmp_path / "pyproject.toml").write_text("[project]")
    assert not project.has("test")


# ---- where it lies


def test_a_path_may_have_spaces(project: Project, tmp_path: Path) -> None:
    spaced = Project(str(tmp_path / "my models"))
    shutil.copytree(tmp_path, spaced.root, ignore=shutil.ignore_patterns("my models"))
    Path(spaced.venv).mkdir()
    Path(spaced.pins).write_text("")
    spaced.write_pins(False)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "numpy"]
    done = subprocess.run(
        command, env=packages.environment(spaced), cwd=spaced.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(project: Project, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    Path(project.venv).write_text("in the way")
    command = [sys.executable, str(tmp_path / "tools" / "setup_venv.py"), "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and ".venv" in done.stderr


def test_an_old_python_gets_as_far_as_finding_a_newer_one() -> None:
    for file in (ROOT / "tools" / "setup_venv.py", *(ROOT / "tools" / "setup").glob("*.py")):
        ast.parse(file.read_text(), file.name, feature_version=(3, 7))
