"""docs/adding-a-family.md shows Qwen2 by the numbers; they are those of today."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAMILIES = ROOT / "loralab_core" / "architecture" / "families"
QWEN2 = (FAMILIES / "qwen2.py").read_text()
PAGE = (ROOT / "docs" / "adding-a-family.md").read_text()


def said(row: str) -> int:
    """The number at the end of the table's row that begins like this."""
    (found,) = re.findall(rf"^\| {re.escape(row)}.*\| (\d+) \|$", PAGE, re.MULTILINE)
    return int(found)


def lines_elsewhere() -> list[tuple[str, str]]:
    """File and line of whatever else names it, in the whole program."""
    files = [file for room in ("loralab_core", "loralab_tui") for file in (ROOT / room).rglob("*.py")]
    lines = [(file, line) for file in files if FAMILIES not in file.parents for line in file.read_text().splitlines()]
    return [(file.name, line) for file, line in lines if re.search("[\"']qwen2[\"']", line)]


def test_the_lines_of_qwen2() -> None:
    assert said("`families/qwen2.py`, whole") == len(QWEN2.splitlines())
    (shown,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert shown.strip() in QWEN2


def test_nothing_else_in_the_program_knows_it_but_gguf() -> None:
    elsewhere = lines_elsewhere()
    assert all(file.startswith("gguf_") for file, _ in elsewhere)
    assert said("changed elsewhere in the program, for its directories") == 0
    entries = [line for _, line in elsewhere if line.strip().startswith('"qwen2":')]
    assert said("lines elsewhere, for its GGUF files") == len(entries)


def test_its_shapes_in_the_tests() -> None:
    (entry,) = re.findall(r'^    "qwen2": make\(\n.+?^    \),\n', _shapes(), re.DOTALL | re.MULTILINE)
    assert said("in the tests: four shapes") == len(entry.splitlines())


def _shapes() -> str:
    return (ROOT / "tests" / "models" / "families.py").read_text()


def test_all_families_together() -> None:
    files = [file for file in FAMILIES.glob("*.py") if file.stem != "__init__"]
    lines = sum(len(file.read_text().splitlines()) for file in files)
    assert f"All {len(files)} files of families together have {lines} lines" in PAGE
