"""What a model directory says about its tokenizer, gathered from the five places it may be written in."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.gguf import is_gguf, read_gguf

SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SENTENCEPIECE = "tokenizer.model"
_UNLIMITED = 10**18  # writers put 1e30 where a model has no limit


@dataclass(frozen=True)
class TokenizerFiles:
    """The parsed files of one directory. Ids are as the files give them, not yet checked against the vocabulary."""

    tokenizer_json: bytes
    special: dict[str, str]  # "eos_token" → "</s>"
    templates: dict[str, str]  # name → jinja source; "default" is the usual one
    end_ids: tuple[int, ...]  # ids that end generation according to generation_config.json, config.json
    bos_id: int | None
    pad_id: int | None
    model_max_length: int | None
    fingerprint: str
    config: dict[str, Any] = field(default_factory=dict)  # tokenizer_config.json


def read_tokenizer_files(directory: Path) -> TokenizerFiles:
    """Read everything the tokenizer needs from `directory`, or from a GGUF file.

    BadInput names the file that is missing or broken.
    """
    if is_gguf(directory):
        from loralab_core.text.gguf_tokenizer import gguf_tokenizer_files

        return gguf_tokenizer_files(read_gguf(directory))
    if not directory.is_dir():
        raise BadInput(f"{directory} is not a directory; give the directory that holds the model's files")
    config = _read_object(directory / "tokenizer_config.json")
    vocabulary = _read_vocabulary(directory, config)
    mapped = _read_object(directory / "special_tokens_map.json")
    generation = _read_object(directory / "generation_config.json")
    model = _read_object(directory / "config.json")
    special = _special_tokens(config, mapped)
    templates = _templates(directory, config)
    ends = _ids(generation.get("eos_token_id")) or _ids(model.get("eos_token_id"))
    return TokenizerFiles(
        tokenizer_json=vocabulary,
        special=special,
        templates=templates,
        end_ids=ends,
        bos_id=_first(_ids(generation.get("bos_token_id")) or _ids(model.get("bos_token_id"))),
        pad_id=_first(_ids(generation.get("pad_token_id")) or _ids(model.get("pad_token_id"))),
        model_max_length=_limit(config.get("model_max_length")),
        fingerprint=tokenizer_fingerprint(vocabulary, special, templates, ends),
        config=config,
    )


def tokenizer_fingerprint(
    vocabulary: bytes, special: dict[str, str], templates: dict[str, str], ends: tuple[int, ...]
) -> str:
    import msgspec

    digest = hashlib.sha256(vocabulary)
    digest.update(msgspec.json.encode([special, templates, ends], order="deterministic"))
    return digest.hexdigest()


def has_tokenizer(directory: Path) -> bool:
    if is_gguf(directory):
        return read_gguf(directory).metadata.get("tokenizer.ggml.model") not in (None, "none", "no_vocab")
    return any((directory / name).is_file() for name in ("tokenizer.json", SENTENCEPIECE))


def has_chat_template(directory: Path) -> bool:
    """BadInput where one of the files that could hold it is broken."""
    return bool(_templates(directory, _read_object(directory / "tokenizer_config.json")))


def _read_vocabulary(directory: Path, config: dict[str, Any]) -> bytes:
    path = directory / "tokenizer.json"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    if (directory / SENTENCEPIECE).exists():
        from loralab_core.text.sentencepiece import tokenizer_json

        return tokenizer_json(directory / SENTENCEPIECE, config, _read_object(directory / "added_tokens.json"))
    raise BadInput(f"{path} is missing; copy the tokenizer's files into the model's directory")


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where the file is absent."""
    import msgspec

    try:
        content = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); download it again") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} should hold a JSON object; download it again")
    return content


def _special_tokens(config: dict[str, Any], mapped: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name in SPECIAL_NAMES:
        # A null in tokenizer_config.json is a decision (Qwen has no BOS), so only an absent key falls through.
        value = config[name] if name in config else mapped.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str) and text:
            found[name] = text
    return found


def _templates(directory: Path, config: dict[str, Any]) -> dict[str, str]:
    """Files win over the field, as in transformers: chat_template.jinja, then additional_chat_templates/*.jinja."""
    from_files = {}
    single = directory / "chat_template.jinja"
    if single.is_file():
        from_files["default"] = _read_text(single)
    for path in sorted((directory / "additional_chat_templates").glob("*.jinja")):
        from_files[path.stem] = _read_text(path)
    if from_files:
        return from_files
    given = config.get("chat_template")
    if given is None:
        given = _read_object(directory / "chat_template.json").get("chat_template")
    if isinstance(given, str):
        return {"default": given}
    if isinstance(given, dict):
        return {str(name): text for name, text in given.items() if isinstance(text, str)}
    if isinstance(given, list):
        entries = [(entry.get("name"), entry.get("template")) for entry in given if isinstance(entry, dict)]
        return {name: text for name, text in entries if isinstance(name, str) and isinstance(text, str)}
    return {}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; download it again") from None


def _ids(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(item for item in values if isinstance(item, int) and not isinstance(item, bool))


def _first(ids: tuple[int, ...]) -> int | None:
    return ids[0] if ids else None


def _limit(value: Any) -> int | None:
    if isinstance(value, (int, float)) and 0 < value < _UNLIMITED:
        return int(value)
    return None
