"""The progress bar of a download, on stderr; HF_HUB_DISABLE_PROGRESS_BARS=1 switches it off."""

import sys
from importlib import import_module
from typing import Any

RARELY_S = 10  # between two lines of a bar that goes to a file


class Bar:
    """Called with (bytes done, bytes in all, what). Shows nothing where nothing is to be downloaded."""

    def __init__(self) -> None:
        self.shown: Any = None
        self.what = ""

    def __call__(self, done: int, total: int, what: str) -> None:
        if self.shown is None and done < total:
            utils: Any = import_module("huggingface_hub.utils")
            interval = 0.1 if sys.stderr.isatty() else RARELY_S
            how = {"unit": "B", "unit_scale": True, "dynamic_ncols": True, "mininterval": interval}
            self.shown = utils.tqdm(total=total, initial=done, desc=what, **how)
        elif self.shown is not None:
            self.shown.set_description(what, refresh=what != self.what)
            self.shown.update(done - self.shown.n)
        self.what = what

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self.shown is not None:
            self.shown.close()
