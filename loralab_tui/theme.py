"""Two themes. Blue is the base model, amber is LoRA, everywhere; a word or shape always says it too."""

from textual.theme import Theme

DARK = Theme(
    name="lab-dark",
    dark=True,
    background="#12141a",
    surface="#181b23",
    panel="#20242e",
    foreground="#d9dce4",
    primary="#7aa8f0",
    secondary="#e8b15a",
    accent="#e8b15a",
    success="#7fc98a",
    warning="#e6a06a",
    error="#ee7d88",
    variables={
        "base-voice": "#7aa8f0",
        "lora-voice": "#e8b15a",
        "validation": "#6fd0c0",
        "quiet": "#8b93a5",
        "faint": "#4a5162",
        "scrollbar": "#4a5162",
        "scrollbar-hover": "#4a5162",
        "scrollbar-active": "#7aa8f0",
        "scrollbar-background": "#181b23",
        "scrollbar-background-hover": "#181b23",
        "scrollbar-background-active": "#181b23",
        "scrollbar-corner-color": "#181b23",
        "block-cursor-text-style": "none",
        "input-selection-background": "#7aa8f0 35%",
    },
)

LIGHT = Theme(
    name="lab-light",
    dark=False,
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e7e4dc",
    foreground="#23262e",
    primary="#2458b8",
    secondary="#94600a",
    accent="#94600a",
    success="#25743a",
    warning="#9c5313",
    error="#b02a3c",
    variables={
        "base-voice": "#2458b8",
        "lora-voice": "#94600a",
        "validation": "#0f766a",
        "quiet": "#62676f",
        "faint": "#b9b6ac",
        "scrollbar": "#b9b6ac",
        "scrollbar-hover": "#b9b6ac",
        "scrollbar-active": "#2458b8",
        "scrollbar-background": "#f3f1ec",
        "scrollbar-background-hover": "#f3f1ec",
        "scrollbar-background-active": "#f3f1ec",
        "scrollbar-corner-color": "#f3f1ec",
        "block-cursor-text-style": "none",
        "input-selection-background": "#2458b8 30%",
    },
)

THEMES = (DARK, LIGHT)
