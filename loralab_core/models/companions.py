"""The files of a model besides its weights: what a result of all-weights training needs to be a model directory."""

import json
import shutil
from pathlib import Path
from typing import Any

from loralab_core.architecture.gguf_config import raw_config
from loralab_core.gguf import is_gguf, read_gguf
from loralab_core.text.tokenizer_files import TokenizerFiles, has_tokenizer, read_tokenizer_files

PATTERNS = ("*config.json", "tokenizer*", "special_tokens_map.json", "chat_template.jinja")


def write_companions(source: Path, directory: Path) -> None:
    """Copied from a model directory, or written from what a GGUF file says. Raises OSError when the disk refuses."""
    if is_gguf(source):
        _write(directory / "config.json", raw_config(read_gguf(source)))
        if has_tokenizer(source):
            _write_tokenizer(read_tokenizer_files(source), directory)
        return
    for pattern in PATTERNS:
        for file in source.glob(pattern):
            shutil.copyfile(file, directory / file.name)


def _write_tokenizer(files: TokenizerFiles, directory: Path) -> None:
    (directory / "tokenizer.json").write_bytes(files.tokenizer_json)
    templates = [{"name": name, "template": text} for name, text in files.templates.items()]
    about: dict[str, Any] = {**files.special, "tokenizer_class": "PreTrainedTokenizerFast"}
    _write(directory / "tokenizer_config.json", about | ({"chat_template": templates} if templates else {}))
    ids = {"bos_token_id": files.bos_id, "eos_token_id": list(files.end_ids), "pad_token_id": files.pad_id}
    _write(directory / "generation_config.json", {name: value for name, value in ids.items() if value is not None})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
