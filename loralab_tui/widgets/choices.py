"""A list to choose from whose marked line is seen without colours too."""

from textual.style import Style
from textual.widgets import OptionList


class Choices(OptionList):
    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """Textual leaves out `reverse`, which is all that marks a line where there is no colour."""
        style = super().get_visual_style(*component_classes, partial=partial)
        reverse = any(self.get_component_styles(name).text_style.reverse for name in component_classes)
        return style + Style(reverse=True) if reverse else style
