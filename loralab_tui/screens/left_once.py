"""Screens that are left once, however often that is asked for."""

from typing import Any, cast

from textual.await_complete import AwaitComplete
from textual.screen import Screen


class LeftOnce:
    """Mixed into screens. Textual's own `dismiss` takes away whatever is on top.

    A second Enter or click that was under way, or a file that was read late, would take the screen below.
    """

    def dismiss(self, result: Any = None) -> AwaitComplete:
        screen = cast(Screen[Any], self)
        return Screen.dismiss(screen, result) if screen.app.screen is screen else AwaitComplete()
