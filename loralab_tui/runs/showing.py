"""A run put on the screen: its setup, its chat and all its events, from its directory."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from loralab_core.errors import BadInput
from loralab_core.processes import Identity
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import read
from loralab_core.runs.record import RunRecord
from loralab_tui.chat.history import Exchange, read_chat
from loralab_tui.plan import plan_of
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.runs.visits import come_back
from loralab_tui.studio import Corpus, Studio

BREATH = 1000  # events of a long run that are applied before the screen has its turn


class RunShowing:
    """`changed` and `show_chat` as in Setup; `look` is called with a corpus of which only the place is known."""

    def __init__(
        self,
        studio: Studio,
        changed: Callable[[], None],
        show_chat: Callable[[list[Exchange]], None],
        look: Callable[[Corpus], None],
    ) -> None:
        self.studio = studio
        self._changed = changed
        self._show_chat = show_chat
        self._look = look

    async def take_over(self, directory: RunDirectory, record: RunRecord) -> None:
        config = (record.prepared or {}).get("config") or record.config
        if not config.get("model"):
            raise BadInput(f"{directory.record_path} is damaged: it names no model")
        away = await asyncio.to_thread(come_back, directory, self.studio.run)
        self.studio.model = str(config["model"])
        self._take_setup(record)
        self.studio.run = RunView(str(directory.path), {**config, "name": record.name})
        self.studio.away = away
        self.studio.adapter = None  # LoRA is that of the run
        self.studio.trouble = ""
        self._show_chat(await asyncio.to_thread(read_chat, directory.path))
        self._changed()

    def _take_setup(self, record: RunRecord) -> None:
        """Corpus and settings as they were asked for, so that a new run can be the same; they suit this model."""
        studio, asked = self.studio, record.asked
        places = tuple(map(str, record.config.get("corpus") or ()))
        studio.corpus = Corpus(places[0], more=places[1:]) if places else None
        studio.plan = studio.made_plan = plan_of(record)
        studio.plan_suits = studio.model or ""
        studio.steps_suit = () if "steps" in asked else places  # made for the length of this very corpus
        studio.prompts = tuple(asked["prompts"]) if asked.get("prompts") else None
        if studio.corpus is not None:
            self._look(studio.corpus)

    async def read_rest(self, why: str, writer: Identity | None = None) -> None:
        """What the file knows beyond what came over the wire; a run without an end was interrupted.

        Unless `writer` trains it, whom nobody here can follow.
        """
        run = self.studio.run
        if run is None:
            return
        path = RunDirectory(Path(run.directory)).events_path
        events = await asyncio.to_thread(read, path, run.seq)
        for number, event in enumerate(events):
            run.apply(event)
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
        if run.phase.live:
            run.why, run.writer = why, writer
            run.phase = Phase.LOST
        run.revision += 1
        self._changed()
