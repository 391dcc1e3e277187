"""What one has to know of a model before it is chosen, in a few lines."""

from collections.abc import Iterator

from textual.content import Content

from loralab_core.catalog.pocket import POCKET
from loralab_core.hardware.room import Room
from loralab_core.paths import with_tilde
from loralab_core.planning.candidates import Candidate
from loralab_core.planning.footprint import RANK, Need
from loralab_tui import words


def about(one: Candidate, room: Room | None) -> Content:
    model = one.model
    return Content("\n").join(
        line
        for line in (
            Content.assemble((model.name, "bold"), (f"  {_note(one)}", "$quiet")),
            Content(model.about) if model.about else None,
            Content.styled(" · ".join(_facts(one)), "$quiet") if one.figures else None,
            *_trouble(one, room),
        )
        if line is not None
    )


def _note(one: Candidate) -> str:
    """Where it lies, or how sure its figures are."""
    if one.model.path == POCKET:
        return one.model.where
    if one.model.path is not None:
        return with_tilde(one.model.path)
    checked = one.model.entry is not None and one.model.entry.verified
    return "" if checked else "figures not yet checked on the Hub"


def _facts(one: Candidate) -> Iterator[str]:
    if one.figures is not None:
        yield f"context {one.figures.context:,} tokens"
    if one.need is not None:
        yield f"needs at least {words.size(one.need.train)} to train, {words.size(one.need.answer)} to answer"


def _trouble(one: Candidate, room: Room | None) -> Iterator[Content]:
    """What stands in the way, and what to do."""
    if one.refused:
        yield Content.styled(f"✕ {one.refused}", "$warning")
    if one.model.gated:
        page = f"huggingface.co/{one.model.reference}"
        yield Content.styled(f"* First accept its licence on {page}, then `hf auth login` here.", "$warning")
    elif one.need and room and one.need.here != "fits":
        yield Content.styled(lacking(one.need, room), "$warning")


def lacking(need: Need, room: Room) -> str:
    free, total = words.size(room.free), words.size(room.total)
    if need.here == "too big":
        return f"✕ Too big: {place(room)} is {total} of memory."
    if need.train > room.free:
        return f"! Tight: other programs hold memory, {free} of {total} are free."
    return f"! Tight: of {free} little is left for a batch; small ones of short texts may fit."


def legend(room: Room | None) -> str:
    if room is None:
        return ""
    have = f"{words.size(room.free)} of {words.size(room.total)} free"
    return f"memory: to train at rank {RANK}, at least · {place(room)}: {have}"


def place(room: Room) -> str:
    return {"cpu": "here", "mps": "this Mac"}.get(room.device, room.device)
