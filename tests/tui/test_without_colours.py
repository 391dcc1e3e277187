"""Without colours the marked line of every list stands out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from loralab_tui.app import StudioApp
from loralab_tui.plan import Plan
from loralab_tui.screens.adapter_picker import AdapterPicker
from loralab_tui.screens.again import Remedies
from loralab_tui.screens.corpus_picker import CorpusPicker
from loralab_tui.screens.theme_picker import ThemePicker
from loralab_tui.states.trouble import trouble
from loralab_tui.widgets.choices import Choices
from tests.tui.driving import until

LISTS: dict[str, Callable[[], Screen[Any]]] = {
    "pirate": lambda: AdapterPicker(None),
    "sea-captain": lambda: CorpusPicker(()),
    "Smaller micro-batch": lambda: Remedies(trouble("out of memory", config={"micro_batch": 8}), Plan()),
    "lab-dark": lambda: ThemePicker(["lab-dark", "lab-light"]),
}


@pytest.mark.parametrize("first", LISTS)
async def test_the_marked_line_is_reversed(first: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    (home / "adapters" / "pirate").mkdir(parents=True)
    (home / "adapters" / "pirate" / "adapter_config.json").write_text("{}")
    app = StudioApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(LISTS[first]())
        await until(pilot, lambda: any(listed.option_count for listed in app.screen.query(Choices)))
        listed = app.screen.query_one(Choices)
        listed.focus()
        listed.highlighted = 0
        await until(pilot, lambda: listed.has_focus)
        lines = app.screen._compositor.render_strips()
        reversed_ = "".join(part.text for line in lines for part in line if part.style and part.style.reverse)
        assert first in reversed_
        assert len(reversed_) < 2 * listed.size.width, "one line of it"
