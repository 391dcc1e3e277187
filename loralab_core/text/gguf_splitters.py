"""How byte-level BPE cuts a text before merging, by the name a GGUF file gives it in `tokenizer.ggml.pre`.

Names are those of src/llama-vocab.cpp of ggml-org/llama.cpp; the expressions are the models' own, from their
tokenizer.json.
"""

from typing import Any, NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers

from loralab_core.errors import BadInput
from loralab_core.gguf import GGUFFile

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Splitter(NamedTuple):
    pre_tokenizer: Any
    normalizer: Any = None
    ignores_merges: bool = False  # a piece that is a token is one, whether or not merges lead to it
    adds_bos: bool = False  # where the file does not say


def _by_words(numbers: str) -> Any:
    cut = pre_tokenizers.Split(Regex(_WORDS.format(numbers=numbers)), behavior="isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _gpt2() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _smollm() -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


SPLITTERS = {
    "gpt-2": lambda: Splitter(_gpt2()),
    "phi-2": lambda: Splitter(_gpt2()),
    "smollm": lambda: Splitter(_smollm()),
    "llama-bpe": lambda: Splitter(_by_words(r"\p{N}{1,3}"), ignores_merges=True, adds_bos=True),
    "qwen2": lambda: Splitter(_by_words(r"\p{N}"), normalizers.NFC()),
}
ALIASES = {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "deepseek-r1-qwen": "qwen2"}


def find_splitter(file: GGUFFile) -> Splitter:
    """Raises BadInput for a name that is not known: cut otherwise, a text has other tokens than the model learned."""
    name = file.metadata.get("tokenizer.ggml.pre")
    if name is None and file.metadata.get("general.architecture") == "gpt2":
        name = "gpt-2"  # files from before there was such a name
    made = SPLITTERS.get(ALIASES.get(name, name)) if isinstance(name, str) else None
    if made is None:
        raise BadInput(
            f"{file.path}: tokenizer.ggml.pre is {name!r}, a way to cut texts that is not known (known: "
            f"{', '.join(SPLITTERS)}); use the model's directory with tokenizer.json"
        )
    return made()
