"""What the engine says, put where the screen shows it."""

from msgspec import structs

from loralab_core.wire.messages import EngineStatus
from loralab_tui.actions.manners import Manners
from loralab_tui.engine import events as engine


class Hearing(Manners):
    def on_engine_opening(self, event: engine.EngineOpening) -> None:
        if self.link.opening:  # what failed at once is over before it is heard
            self.studio.opening = event.what
            self.main.show()

    def on_engine_loading(self, event: engine.EngineLoading) -> None:
        if self.link.opening or self.link.connected:
            self.studio.loading(event.what, event.done, event.total)
            self.main.mark_stale()

    def on_model_not_read(self, event: engine.ModelNotRead) -> None:
        self.studio.opening = ""
        self.studio.trouble = event.sentence
        self.main.show()

    def on_engine_ready(self, event: engine.EngineReady) -> None:
        status = event.status
        self.studio.status = status
        self.studio.opening = ""
        self.studio.trouble = ""
        self.do("mode", self._fit_mode, status)
        if status.run and self.studio.run is None:
            self.do("run", self.runs.follow_foreign, status.run)
        self.main.show()

    async def _fit_mode(self, status: EngineStatus) -> None:
        self.main.chat.heading.fit_mode(await self.setup.fitting_mode(status))
        self.main.show()

    def on_engine_report(self, event: engine.EngineReport) -> None:
        if not self.link.connected:  # the last word of an engine that was left for another model
            return
        before, self.studio.status = self.studio.status, event.status
        if event.status.loaded and self.studio.trouble:  # a question has read the model after all
            self.studio.trouble = ""
            self.main.mark_stale()
        if before is None or told(before) != told(event.status):
            self.main.mark_stale()

    def on_engine_silent(self, event: engine.EngineSilent) -> None:
        self.studio.silent_s = event.seconds
        self.main.show()

    def on_engine_lost(self, event: engine.EngineLost) -> None:
        self.studio.status = None
        self.studio.silent_s = 0
        self.studio.opening = ""
        self.main.chat.failed(event.sentence)
        if self.studio.live:
            self.do("run", self._read_rest, event.sentence)
            return
        self.studio.trouble = event.sentence
        if self.studio.run is not None:  # whose card stands before that of the trouble
            self.complain(f"{event.sentence}. The run is whole; the next question starts the engine again.")
        self.main.show()

    async def _read_rest(self, why: str) -> None:
        await self.runs.showing.read_rest(why)
        self.run_ended()

    def on_run_started(self, event: engine.RunStarted) -> None:
        self.studio.adapter = None  # LoRA is what is being trained now
        self.runs.run_started(event.run)

    def on_run_events(self, event: engine.RunEvents) -> None:
        if self.runs.run_events(event.run, event.events):
            self.run_ended()
            self.main.show()
        self.main.mark_stale()


def told(status: EngineStatus) -> dict[str, object]:
    """What a report says beyond which question it answers: the same twice is no news, and nothing is drawn."""
    return {**structs.asdict(status), "id": None}
