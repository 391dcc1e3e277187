"""The light floor stays light: importing it, the UI or the commands brings in neither torch nor transformers."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT_ROOMS = ("gguf", "runs", "hardware", "architecture", "text", "planning", "catalog", "wire")


@cache
def modules_after(statements: str) -> set[str]:
    """Top-level packages in sys.modules of a fresh Python after `statements`."""
    program = (
        f"{statements}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def light_modules() -> list[str]:
    files = [file for room in LIGHT_ROOMS for file in (ROOT / "loralab_core" / room).glob("*.py")]
    files += [ROOT / "loralab_core" / name for name in ("errors.py", "paths.py", "files.py", "processes.py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def ui_modules() -> list[str]:
    files = [file for file in (ROOT / "loralab_tui").rglob("*.py") if file.stem != "__main__"]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name.removesuffix(".__init__") for name in names)


@pytest.mark.parametrize("modules", [light_modules(), ui_modules()], ids=["light floor", "loralab_tui"])
def test_importing_everything_there_leaves_torch_out(modules: list[str]) -> None:
    loaded = modules_after("\n".join(f"import {name}" for name in modules))
    assert not loaded & {"torch", "transformers"}


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after(
        "from loralab_core.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    )
    assert not loaded & {"torch", "transformers", "textual", "rich", "numpy", "huggingface_hub", "tokenizers", "jinja2"}


def test_library_name_alone_is_light() -> None:
    assert not modules_after("import loralab_core") & {"torch", "transformers", "numpy"}


@pytest.fixture
def after_a_step(fixtures_dir: Path) -> set[str]:
    return modules_after(
        "from pathlib import Path\n"
        "from loralab_core.training import train\n"
        "from tests.training.small_runs import small\n"
        f"assert list(train(small(Path({str(fixtures_dir)!r}), steps=1)))[-1]['steps'] == 1"
    )


def test_training_knows_no_screen(after_a_step: set[str]) -> None:
    assert not after_a_step & {"textual", "loralab_tui"}


def test_training_leaves_the_compiler_of_pytorch_out(after_a_step: set[str]) -> None:
    """It would take two seconds before the first step; sympy is what it brings with it."""
    assert "torch" in after_a_step and "sympy" not in after_a_step


def test_the_screen_paints_before_it_loads_what_it_needs_later() -> None:
    """First paint is below half a second: files are read, answers laid out and dialogs built only when asked for."""
    loaded = modules_after(
        "from loralab_tui.app import StudioApp\nfrom loralab_tui.beginning import pocket\nStudioApp(demo=pocket)"
    )
    late = {"numpy", "tokenizers", "safetensors", "huggingface_hub", "jinja2", "markdown_it", "pygments", "psutil"}
    assert not loaded & (late | {"pynvml", "tree_sitter", "multiprocessing", "http", "email", "sqlite3"})
