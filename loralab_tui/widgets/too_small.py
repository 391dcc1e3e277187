"""What stands on a terminal with no room for the screen: a sentence, above everything."""

from textual.widgets import Static

WIDTH, HEIGHT = 40, 12


class TooSmall(Static):
    DEFAULT_CSS = """
    TooSmall {
        layer: above; position: absolute; width: 100%; height: 100%; display: none;
        background: $background; color: $foreground; content-align: center middle; text-align: center;
    }
    """

    def __init__(self) -> None:
        super().__init__(f"LoRA Lab needs {WIDTH} columns and {HEIGHT} lines.\nWhat runs goes on.", markup=False)

    def fit(self, width: int, height: int) -> None:
        self.display = width < WIDTH or height < HEIGHT
