"""What could not be done, as the message that says so."""

import traceback

from loralab_core.errors import BadInput, LoraLabError, first_line
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.wire.messages import Failed


def refusal(number: int, error: Exception) -> Failed:
    """The answer to request `number`; what nobody foresaw goes to the engine's log in full."""
    if isinstance(error, LoraLabError):
        return Failed(id=number, sentence=str(error), kind="bad_input" if isinstance(error, BadInput) else "failed")
    if is_out_of_memory(error):
        return Failed(id=number, sentence=f"out of memory ({first_line(error)}); close other programs and try again")
    traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    return Failed(id=number, sentence=f"the engine could not do this ({what}); its log has the details")
