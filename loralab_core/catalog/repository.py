"""What the Hub says of a model before anything large is downloaded, and which of its files are needed."""

import re
from dataclasses import dataclass
from typing import Any

from loralab_core.catalog.hub_cache import INDEX, SINGLE
from loralab_core.catalog.reference import HubReference
from loralab_core.errors import BadInput, LoraLabError

PATIENCE_S = 15  # for the Hub's answer about a model
SHORT_PATIENCE_S = 4  # where the cache has one to go on with

SMALL_FILES = (  # everything but weights that a model or its tokenizer is read from
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    INDEX,
)
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLED = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|msgpack|h5)")


@dataclass(frozen=True)
class HubFile:
    name: str
    size: int  # bytes
    etag: str


@dataclass(frozen=True)
class Repository:
    id: str
    revision: str | None
    commit: str
    files: dict[str, HubFile]  # of the top folder, by name
    licence: str | None
    gated: bool
    private: bool
    parameters: int | None  # as the Hub counted them in the safetensors files

    def small_files(self) -> list[HubFile]:
        """What is read besides the weights. An index is not needed where one file holds all of them."""
        wanted = [name for name in SMALL_FILES if name != INDEX or SINGLE not in self.files]
        return [self.files[name] for name in wanted if name in self.files]

    def likely_weights(self) -> list[HubFile]:
        """The weight files by their names; the index, once it is here, says it exactly."""
        if SINGLE in self.files:
            return [self.files[SINGLE]]
        return [file for name, file in sorted(self.files.items()) if _SHARD.fullmatch(name)]

    def weights(self, shards: list[str]) -> list[HubFile]:
        """The files an index lists. BadInput where the repository does not hold them all."""
        if missing := [name for name in shards if name not in self.files]:
            raise BadInput(f"{self.id} is incomplete: its index lists {missing[0]}, which is not there; use another")
        return [self.files[name] for name in shards]


def look_up(reference: HubReference, patience: float = PATIENCE_S) -> Repository:
    """One question to the Hub. Raises what its library raises; see hub_errors."""
    from huggingface_hub import HfApi

    info: Any = HfApi().model_info(reference.id, revision=reference.revision, files_metadata=True, timeout=patience)
    card = info.card_data
    return Repository(
        id=info.id if info.id.lower() == reference.id.lower() else reference.id,  # another where it was renamed
        revision=reference.revision,
        commit=_digits(info.sha),
        files={file.rfilename: _file(file) for file in info.siblings or () if "/" not in file.rfilename},
        licence=_licence(card.to_dict() if card else {}, info.tags or ()),
        gated=bool(info.gated),
        private=bool(info.private),
        parameters=info.safetensors.total if info.safetensors else None,
    )


def _file(said: Any) -> HubFile:
    large = said.lfs
    if large:
        return HubFile(said.rfilename, large.size, _digits(large.sha256))
    return HubFile(said.rfilename, said.size or 0, _digits(said.blob_id))


def _digits(said: Any) -> str:
    """A checksum; it becomes a file's name here, so nothing else is let through."""
    if not isinstance(said, str) or not _CHECKSUM.fullmatch(said):
        raise LoraLabError(f"the Hub's answer holds {said!r:.50} for a checksum; if HF_ENDPOINT is set, check it")
    return said


def _licence(card: dict[str, Any], tags: Any) -> str | None:
    """Its name where the card calls it "other", as companies do for licences of their own."""
    licence = card.get("license") or next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), None)
    return str(card.get("license_name") or licence) if licence == "other" else str(licence) if licence else None


def refuse_unusable(repository: Repository) -> None:
    """BadInput, with the reason and the way round, for a repository without weights that can be read safely."""
    names, id = repository.files, repository.id
    if "adapter_config.json" in names and "config.json" not in names:
        raise BadInput(f"{id} is an adapter, not a model; give the model it was trained on, and this as --adapter")
    if repository.likely_weights() or INDEX in names:
        if "config.json" not in names:
            raise BadInput(f"{id} has no config.json, so it is not a Transformers model; look for one that is")
        return
    if any(name.endswith(".gguf") for name in names):
        raise BadInput(f"{id} holds GGUF files only; use the model it was made from (its page names the base model)")
    if any(name.endswith(".safetensors") for name in names):
        raise BadInput(f"{id} has no model.safetensors, so its weights are laid out for another program; "
                       "look for the same model in Transformers' layout, often named -hf")  # fmt: skip
    if any(_PICKLED.fullmatch(name) for name in names):
        raise BadInput(
            f"{id} has only pickled weights, which can run code and are never opened; a safetensors copy may wait "
            f"on its page under Community ({id}@refs/pr/NUMBER), or huggingface.co/spaces/safetensors/convert makes one"
        )
    raise BadInput(f"{id} holds no weights in its top folder; give the id of a language model's repository")
