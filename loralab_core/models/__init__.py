"""The decoder and how it is loaded."""

from loralab_core.models.decoder import Cache, Decoder, Linear
from loralab_core.models.loading import load_decoder

__all__ = ["Cache", "Decoder", "Linear", "load_decoder"]
