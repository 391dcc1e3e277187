"""What every action can use: the parts of the application, work beside the screen, words for the user."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from textual.app import App
from textual.worker import Worker

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.hardware.room import Room
from loralab_tui.engine.link import EngineLink, GivenUp
from loralab_tui.engine.setup import Setup
from loralab_tui.runs.control import RunControl
from loralab_tui.screens.main import MainScreen
from loralab_tui.studio import Studio

FindRoom = Callable[[str], Room]


class ActionApp(App[None]):
    """One `action_<id>` for each entry of the keymap, in the classes beside this one.

    Dialogs are imported as they open: the first paint is sooner.
    """

    studio: Studio
    link: EngineLink
    setup: Setup
    runs: RunControl
    main: MainScreen
    find_room: FindRoom
    farewell: str = ""

    def do(self, group: str, doing: Callable[..., Awaitable[None]], *about: Any) -> None:
        """Run `doing(*about)` beside the screen; a new request of the same group replaces the one before.

        Only those of "run" do not: a request to the engine cannot be taken back by forgetting it.
        """

        work: Callable[[], Coroutine[None, None, None]] = partial(self._told, doing, *about)
        _: Worker[None] = self.run_worker(work, group=group, exclusive=group != "run")

    async def _told(self, doing: Callable[..., Awaitable[None]], *about: Any) -> None:
        """Await it; what goes wrong is said."""
        try:
            await doing(*about)
        except GivenUp:
            return
        except LoraLabError as error:
            self.complain(str(error))
        except OSError as error:
            self.complain(explain_os_error(error, "do that"))

    def change_model(self, reference: str) -> None:
        """Open another model, or the same anew; what stays behind is said."""
        for sentence in self.setup.left_behind(reference):
            self.tell(sentence, seconds=15)
        self.do("engine", self.setup.use_model, reference)

    def complain(self, sentence: str) -> None:
        """What could not be done, and what to do, where it cannot be overlooked."""
        said = sentence[0].upper() + sentence[1:]
        self.notify(said, title="✕ That did not work", severity="error", timeout=15, markup=False)

    def tell(self, sentence: str, seconds: float = 8) -> None:
        self.notify(sentence, timeout=seconds, markup=False)
