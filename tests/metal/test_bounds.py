"""No kernel touches a byte outside its buffers: the self-test's launches again, under sanitizers of addresses."""

from loralab_core.ops.metal import check
from loralab_core.ops.metal.source import FILES, source
from tests.metal.tapes import needs_address_sanitizer, recorded, replayed

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0")


@needs_address_sanitizer
def test_every_kernel_stays_within_its_buffers() -> None:
    done = replayed([source(file) for file in FILES], recorded(*check.TESTS), *FLAGS, order=1)
    assert done.returncode == 0 and "launches" in done.stdout, done.stderr[:2000]


@needs_address_sanitizer
def test_a_byte_too_far_would_be_seen() -> None:
    text = source("dequantize").replace("column + i < w.in", "column + i <= w.in", 1)
    assert text != source("dequantize")
    text = text.replace("column >= w.in) return", "column > w.in) return")
    done = replayed([text], recorded("dequantize"), *FLAGS)
    assert "AddressSanitizer" in done.stderr
