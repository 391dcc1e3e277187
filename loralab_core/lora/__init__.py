"""Adapters: their weights, PEFT files, and the model they are resident on."""

from loralab_core.lora.adapter import Adapter, LoraSettings, create_adapter, find_targets, use_adapter
from loralab_core.lora.loaded import LoadedModel, load
from loralab_core.lora.peft_files import load_adapter, save_adapter

__all__ = [
    "Adapter",
    "LoadedModel",
    "LoraSettings",
    "create_adapter",
    "find_targets",
    "load",
    "load_adapter",
    "save_adapter",
    "use_adapter",
]
