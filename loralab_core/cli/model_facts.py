"""What `loralab models show` says of a model."""

from typing import TYPE_CHECKING, Any

from loralab_core.cli.terminal import size

if TYPE_CHECKING:
    from loralab_core.catalog.inspection import Inspection
    from loralab_core.planning.footprint import Need

HERE = {"fits": "it fits", "tight": "it is tight", "too big": "it is too big for this device"}


def facts_of(seen: "Inspection", asked: str) -> dict[str, Any]:
    """BadInput for a model that can never be opened, with the reason."""
    from loralab_core.architecture.families import read_config, stored_base
    from loralab_core.catalog.hub import read_config_json
    from loralab_core.hardware.room import find_room
    from loralab_core.planning.footprint import figures_of, need
    from loralab_core.text.tokenizer_files import has_chat_template

    config, raw = read_config(seen.directory), read_config_json(seen.directory / "config.json")
    hub, figures, room = seen.repository, figures_of(config), find_room()
    return {
        "model": asked,
        "directory": str(seen.directory) if seen.on_disk else None,
        "commit": hub.commit if hub else None,
        "family": config.model_type,
        "parameters": figures.parameters,
        "weight_bytes": seen.weight_bytes,
        "dtype": raw.get("dtype") or raw.get("torch_dtype"),
        "context": figures.context,
        "licence": hub.licence if hub else None,
        "gated": hub.gated if hub else None,
        "private": hub.private if hub else None,
        "chat_template": has_chat_template(seen.directory),
        "download": seen.download,
        "download_bytes": sum(seen.download.values()),
        "device": room.device,
        "device_free_bytes": room.free,
        **need_of(need(figures, room, stored_base(seen.directory))),
    }


def need_of(need: "Need") -> dict[str, Any]:
    """As JSON calls it."""
    return {
        "base": need.base,
        "answer_bytes_at_least": need.answer,
        "train_bytes_at_least": need.train,
        "here": need.here,
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """Unknown facts are left out."""
    from loralab_core.planning.footprint import RANK, TOKENS

    gated = {True: "yes: accept its licence on its page of the Hub first", False: "no", None: None}[facts["gated"]]
    free = f"{size(facts['device_free_bytes'])} free on {facts['device']}"
    files = ", ".join(f"{name} ({size(count)})" for name, count in facts["download"].items())
    tokens = min(TOKENS, facts["context"])
    rows = {
        "model": facts["model"],
        "directory": facts["directory"],
        "commit": facts["commit"],
        "family": facts["family"],
        "parameters": f"{facts['parameters']:,}",
        "weights": ", ".join(filter(None, [size(facts["weight_bytes"]), facts["dtype"]])),
        "context": f"{facts['context']:,} tokens",
        "licence": facts["licence"],
        "gated": gated,
        "private": "yes" if facts["private"] else None,
        "chat": "has a chat template" if facts["chat_template"] else "no chat template: a model for texts",
        "to answer": f"at least {size(facts['answer_bytes_at_least'])} in {facts['base']}, {tokens:,} tokens; {free}",
        "to train": f"at least {size(facts['train_bytes_at_least'])} with rank {RANK}, and what a batch takes",
        "here": HERE[facts["here"]],
        "to download": f"{size(facts['download_bytes'])}: {files}" if files else "nothing, it is all here",
    }
    return [f"{name:<12} {value}" for name, value in rows.items() if value is not None]
