"""What is left of a reading that came to nothing: its reason, and no memory."""

import gc
from pathlib import Path

import pytest

from loralab_core.engine.base_model import BaseModel, NotRead, Reading
from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.models.loading import Progress
from loralab_core.wire.messages import Loading
from tests.engine.driving import wait_until
from tests.engine.slow_models import LAST_EXPERT, slow_to_read

pytestmark = pytest.mark.xdist_group("engine")


def test_a_panic_of_a_library_is_told_like_any_failure() -> None:
    class Panic(BaseException):  # what libraries written in Rust raise
        pass

    def work(report: Progress) -> None:
        raise Panic("index out of bounds")

    reading = Reading("", work, lambda _: None)
    wait_until(lambda: reading.has_ended, "its end")
    assert isinstance(reading.error, Exception) and "index out of bounds" in str(reading.error)


@pytest.mark.parametrize("how", ["cancelled", "damaged"])
def test_nothing_half_read_stays_in_memory(how: str, fixtures_dir: Path, tmp_path: Path) -> None:
    model = slow_to_read(fixtures_dir, tmp_path / "model", LAST_EXPERT if how == "damaged" else None)
    told: list[Loading] = []
    base = BaseModel(model, "fp32", "cpu", False, told.append)
    gc.collect()
    gc.disable()  # it is not by chance that they go
    try:
        with pytest.raises(NotRead):
            base.get()
        wait_until(lambda: told, "the beginning of the reading")
        assert decoders()
        if how == "cancelled":
            base.nobody_waits()
        wait_until(lambda: base.look() or not base.is_being_read, "its end")
        if how == "damaged":
            with pytest.raises(BadInput, match="tensors are missing"):
                base.get()
            base.nobody_waits()
        assert base.lm is None and not decoders() and told[-1].total == 0
    finally:
        gc.enable()


def decoders() -> list[object]:
    return [one for one in gc.get_objects() if type(one) is Decoder]
