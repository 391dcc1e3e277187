"""GGUF, the file format of llama.cpp: what a file says of itself. Its tensors are read by `models.gguf_weights`."""

from loralab_core.gguf.file import GGUFFile, TensorInfo, is_gguf, read_floats, read_gguf

__all__ = ["GGUFFile", "TensorInfo", "is_gguf", "read_floats", "read_gguf"]
