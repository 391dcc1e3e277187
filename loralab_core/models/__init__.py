"""The decoder and how it is loaded."""

from loralab_core.models.attention import Cache
from loralab_core.models.decoder import Decoder
from loralab_core.models.loading import load_decoder
from loralab_core.models.mlp import ExpertLinear, Router
from loralab_core.models.parts import Linear

__all__ = ["Cache", "Decoder", "ExpertLinear", "Linear", "Router", "load_decoder"]
