"""No kernel touches a byte outside its buffers: the self-test's launches again, under address and undefined sanitizers."""

from loralab_core.ops.metal import check
from loralab_core.ops.metal.source import FILES, source
from tests.emulation import metal
from tests.metal.tapes import needs_address_sanitizer, recorded, replayed

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@needs_address_sanitizer
def test_every_kernel_stays_within_its_buffers() -> None:
    program = metal.program([source(file) for file in FILES], *FLAGS)
    for order in (0, 1):
        done = replayed(program, recorded(*check.TESTS), order)
        assert done.returncode == 0 and "launches" in done.stdout, done.stderr[:2000]


@needs_address_sanitizer
def test_a_byte_too_far_would_be_seen() -> None:
    text = source("dequantize").replace("column + i < w.in", "column + i <= w.in", 1)
    assert text != source("dequantize")
    text = text.replace("column >= w.in) return", "column > w.in) return")
    done = replayed(metal.program([text], *FLAGS), recorded("dequantize"))
    assert "AddressSanitizer" in done.stderr
