"""Compile the kernels beside the package and try them: for setting up, which never fails for their sake."""

from loralab_core.errors import LoraLabError
from loralab_core.ops.native.build import build_beside, say_on_stderr
from loralab_core.ops.native.library import native

if __name__ == "__main__":
    try:
        build_beside()
        native()
    except LoraLabError as error:
        say_on_stderr(f"no compiled kernels: {error}; everything runs on PyTorch's own operators")
