"""What ends a preparation early, whatever the rows that follow are like."""

from loralab_core.errors import LoraLabError


class Cancelled(LoraLabError):
    """The user stopped the tokenisation; nothing of it was kept. Exit code 130, as after Ctrl-C."""

    exit_code = 130
    kind = "cancelled"


class TemplateOverspent(LoraLabError):
    """A chat template did not come to an end. No BadInput: it is not about one conversation, so none is tried after."""
