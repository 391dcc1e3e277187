"""What failures say and what they mean: one entry for each cause.

`{train}` stands for the key of that action, `{again}` for what it does with a run that did not come to its end.
"""

import re
from typing import NamedTuple


class Cause(NamedTuple):
    """`signs`: what the engine's sentence holds then; `press`: the next step."""

    title: str
    meaning: str
    press: str
    signs: str = ""

    def is_said(self, sentence: str) -> bool:
        return bool(self.signs) and re.search(self.signs, sentence, re.IGNORECASE) is not None


OTHER_VERSION = Cause(
    "The engine is of another version",
    "It was started before LoRA Lab was updated. What it does goes on untouched.",
    "{runs} shows what came since; {train} {again}, once that engine has ended.",
    r"another version of LoRA Lab",
)
KILLED = Cause(
    "The system ended the engine: out of memory",
    "The computer ran out of memory and killed the engine. The run is kept up to its last checkpoint.",
    "Close other programs, then {train} {again}. A new run with smaller settings needs less.",
    r"the system ran out of memory|sigkill",
)
OUT_OF_MEMORY = Cause(
    "Out of memory",
    "The model, the adapter and what a pass computes did not fit together. Nothing of what was saved is lost.",
    "{train} offers settings that need less memory and starts again.",
    r"out of memory|allocate memory|memoryerror",
)
NOTHING_TO_LOWER = OUT_OF_MEMORY._replace(
    press="The settings are as low as they go. Close other programs, then {train} {again}; {model} changes the model."
)
DISK_FULL = Cause(
    "The disk is full",
    "The run could not be written any further; the checkpoints before it are whole.",
    "Free some space ({runs} deletes old runs), then {train} {again}.",
    r"no space left|disk quota|quota exceeded|free some space",
)
NOT_A_NUMBER = Cause(
    "The loss is not a number any more",
    "The steps were too large and the training ran off. The model itself is untouched.",
    "{train} offers a lower learning rate; {settings} changes all settings.",
    r"no finite gradient|not a number|no finite loss",
)
UNFORESEEN = Cause(
    "Training failed",
    "Nobody foresaw this one. What was saved before it is whole.",
    "{train} {again}; {settings} changes the settings.",
    r"unexpected error",
)
NOT_STARTED = Cause(
    "The engine could not start",
    "What it said last stands above; its log has the rest.",
    "{model} tries again. `loralab doctor` in a shell looks for the cause.",
    r"engine did not (start|answer within)|start an engine",
)
HUB = Cause(
    "The model could not be downloaded",
    "The Hugging Face Hub did not give it out, or cannot be reached from here.",
    "{model} tries again (what was downloaded is kept) or takes a model from a directory.",
    r"\bhub\b|downloading",
)
ENGINE_GONE = Cause(
    "The engine is gone",
    "It ended without a word, as when it is killed; where memory is short, the system does that.",
    "{train} {again}. `loralab doctor` in a shell looks for the cause.",
    r"engine (ended|does not answer)|engine.*(gone|closed)|no engine|connection",
)
MODEL = Cause(
    "The model cannot be opened",
    "Its files are incomplete or of a kind that is not read.",
    "{model} chooses another or downloads it again.",
    r"download (it|the model) again|model directory|safetensors|holds other weights|config\.json",
)
CORPUS = Cause(
    "The corpus cannot be used",
    "A file of it is missing, damaged, or not what was expected; the sentence names the place.",
    "Correct it and {train} tries again, or {corpus} chooses another. {data} looks at it.",
    r"corpus|not valid json|utf-?8|no row|is empty|nothing is left to train|\.(txt|md|jsonl?)\b",
)
BAD_INPUT = Cause(
    "This cannot be trained as it is asked",
    "A setting or a file does not fit; nothing was trained.",
    "{settings} changes the settings, {corpus} the corpus, then {train} tries again.",
)
INTERRUPTED = Cause(
    "Interrupted",
    "The engine ended while nobody looked, as when it is killed or the computer starts anew.",
    "{train} {again}.",
)
BEFORE_TRAINING = Cause("This did not work", "Nothing is lost.", "{model} tries again or chooses another model.")

RECOGNISED = (
    OTHER_VERSION,
    KILLED,
    OUT_OF_MEMORY,
    DISK_FULL,
    NOT_A_NUMBER,
    UNFORESEEN,
    NOT_STARTED,
    HUB,
    ENGINE_GONE,
    MODEL,
    CORPUS,
)
"""The first whose signs are found counts: the more particular ones stand first."""

WITHOUT_RUN = {
    OTHER_VERSION: OTHER_VERSION._replace(press="{model} tries again once it has ended."),
    KILLED: KILLED._replace(
        meaning="The computer ran out of memory and killed the engine. Nothing was being trained.",
        press="Close other programs, then {model} or a question starts it again. A smaller model needs less.",
    ),
    OUT_OF_MEMORY: OUT_OF_MEMORY._replace(
        meaning="The model does not fit into the memory there is.",
        press="Close other programs, then {model} tries again or chooses a smaller model.",
    ),
    DISK_FULL: DISK_FULL._replace(
        meaning="Something could not be written any further. Nothing was being trained.",
        press="Free some space ({runs} deletes old runs), then {model} tries again.",
    ),
    UNFORESEEN: BEFORE_TRAINING,
    ENGINE_GONE: ENGINE_GONE._replace(
        press="{model} or a question starts it again. `loralab doctor` in a shell looks for the cause."
    ),
}
"""What is said instead where there is no run that they could be about."""
