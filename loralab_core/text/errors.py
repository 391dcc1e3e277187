"""What ends a preparation early without anything being wrong."""

from loralab_core.errors import LoraLabError


class Cancelled(LoraLabError):
    """The user stopped the tokenisation; nothing of it was kept. Exit code 130, as after Ctrl-C."""

    exit_code = 130
    kind = "cancelled"
