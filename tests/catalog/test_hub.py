"""Downloads that go wrong: whatever the Hub and the line to it do, the user gets one sentence."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loralab_core.errors import first_line

DOWNLOAD = """
from loralab_core.catalog.hub import resolve_model
from loralab_core.errors import LoraLabError
try:
    resolve_model("owner/name")
except LoraLabError as error:
    print(error)
"""


def leave(line: socket.socket) -> None:
    """Without an answer."""
    line.shutdown(socket.SHUT_RDWR)


def reset(line: socket.socket) -> None:
    """As a router does that forgot the connection."""
    line.recv(1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(params=[leave, reset])
def dropping_hub(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Hub that drops every line."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    request.param(line)

        threading.Thread(target=drop, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_a_line_that_drops_is_one_sentence(dropping_hub: str, tmp_path: Path) -> None:
    """In a process of its own: the Hub's address is read once, when its library is imported."""
    hub = {"HF_ENDPOINT": dropping_hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD], capture_output=True, text=True, env=os.environ | hub, check=False
    )
    assert done.stdout.startswith("downloading owner/name failed: ") and done.stdout.endswith("; try again\n"), (
        done.stderr
    )


@pytest.mark.parametrize(("said", "line"), [("", "ValueError"), ("\n", "ValueError"), ("a\nb", "a")])
def test_an_error_without_words_is_named_by_its_kind(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line
