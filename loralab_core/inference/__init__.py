"""Answers: the key-value cache, sampling, and text that streams as tokens are drawn."""

from loralab_core.inference.batch import generate_batch
from loralab_core.inference.generate import Answer, generate
from loralab_core.inference.kv_cache import KVCache

__all__ = ["Answer", "KVCache", "generate", "generate_batch"]
