"""What could not be done, as the message that says so."""

import traceback

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.wire.messages import Failed


def refusal(number: int, error: Exception) -> Failed:
    """The answer to request `number`; what nobody foresaw goes to the engine's log in full."""
    if isinstance(error, LoraLabError):
        return Failed(id=number, sentence=str(error), kind="bad_input" if isinstance(error, BadInput) else "failed")
    traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    return Failed(id=number, sentence=f"the engine could not do this ({what}); its log has the details")
