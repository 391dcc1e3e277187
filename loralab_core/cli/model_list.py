"""What `loralab models list` says: the models of this computer and those of the catalogue."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from loralab_core.cli.model_facts import need_of
from loralab_core.cli.terminal import size

if TYPE_CHECKING:
    from loralab_core.hardware.room import Room
    from loralab_core.planning.candidates import Candidate


def as_json(found: "list[Candidate]", room: "Room") -> dict[str, Any]:
    """`models`: the catalogue. `on_disk`: what is here besides."""
    import msgspec

    listed = [one for one in found if one.model.entry]
    others = [one for one in found if not one.model.entry]
    listed.sort(key=lambda one: one.model.entry.parameters if one.model.entry else 0)
    return {
        "device": room.device,
        "device_free_bytes": room.free,
        "models": [{**msgspec.to_builtins(one.model.entry), "directory": _place(one), **_need(one)} for one in listed],
        "on_disk": [
            {"id": one.model.reference, "directory": _place(one), "bytes": one.model.size, **_need(one)}
            for one in others
        ],
    }


def lines(found: "list[Candidate]", room: "Room") -> Iterator[str]:
    yield f"{'model':<40} {'weights':>10} {'size':>10} {'memory':>10}  {'here':<7}  licence"
    yield from map(_line, found)
    yield f"memory: what training takes at least; here: on {room.device}, {size(room.free)} of {size(room.total)} free"
    if any(one.model.entry and not one.model.entry.verified for one in found):
        yield "the catalogue's figures are as published, `loralab models verify` compares them with the Hub"


def _line(one: "Candidate") -> str:
    model, need = one.model, one.need
    facts = (_millions(one), size(model.size), size(need.train if need else None))
    notes = (
        one.refused or model.about,
        f"on disk: {model.path}" if model.path else "",
        "accept its licence on the Hub first" if model.gated else "",
    )
    figures = " ".join(f"{fact:>10}" for fact in facts)
    said = "; ".join(filter(None, notes))
    return f"{model.name:<40} {figures}  {need.here if need else '–':<7}  {model.licence or '–':<10}  {said}"


def _millions(one: "Candidate") -> str:
    if one.figures is None:
        return "–"
    millions = one.figures.parameters / 1e6
    return f"{millions:,.0f}M" if millions >= 10 else f"{millions:.2f}M"


def _place(one: "Candidate") -> str | None:
    return str(one.model.path) if one.model.path else None


def _need(one: "Candidate") -> dict[str, Any]:
    return need_of(one.need) if one.need else {}
