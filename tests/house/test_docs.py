"""The list of settings in the docs is the list in the code, defaults included."""

import re
from pathlib import Path

import msgspec

from loralab_core.runs.config import TrainConfig

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", (DOCS / "settings.md").read_text(), re.MULTILINE)
    fields = msgspec.structs.fields(TrainConfig)
    assert [name for name, _ in rows] == [field.name for field in fields]
    for (name, written), field in zip(rows, fields, strict=True):
        if field.default is msgspec.NODEFAULT:
            assert written == "required", name
        elif field.default in (None, ()):
            assert written in ("none", "decided"), name
        else:
            shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
            assert written == shown, name
