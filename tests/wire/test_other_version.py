"""An engine that outlived an update: ended where it is idle, left alone and named where it is needed."""

import asyncio
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from loralab_core.errors import LoraLabError
from loralab_core.wire.client import AsyncClient, Client
from loralab_core.wire.greeting import OtherVersion
from loralab_core.wire.launch import ensure_engine, spawn
from loralab_core.wire.messages import VERSION, Hello, decode_request, decode_response, encode
from loralab_core.wire.registry import engine_key, is_held, read_engine, socket_path
from tests.wire.fake_engine import FirstVersion, fake_command

MODEL = ("/models/m", "fp32", "cpu")


def outlived(*flags: str) -> int:
    """The process of an engine that was started before the update."""
    key = engine_key(*MODEL)
    spawn(key, fake_command("--old", *flags)(key), lambda sentence: None)
    deadline = time.monotonic() + 30
    while not socket_path(key).exists():
        assert time.monotonic() < deadline, "it does not listen"
        time.sleep(0.01)
    record = read_engine(key)
    assert record is not None
    return record.process.pid


def test_a_version_is_written_out_and_one_that_is_not_is_the_first() -> None:
    assert b'"version":' in encode(Hello(version=VERSION)) and VERSION > 1
    for read in (decode_request, decode_response):
        assert read(b'{"type":"hello","pid":7}') == Hello(version=1, pid=7)


def test_both_clients_say_whose_engine_it_is_and_how_to_end_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "engine.sock"
    wanted = rf"pid {os.getpid()}\) was started by another version .* speaks version 1, this program {VERSION}.*kill"
    with FirstVersion(path):
        with pytest.raises(OtherVersion, match=wanted):
            Client(path)
        with pytest.raises(OtherVersion, match=wanted):
            asyncio.run(AsyncClient.connect(path))


def test_an_idle_one_is_replaced_and_that_is_said() -> None:
    old = outlived()
    notes: list[str] = []
    path = ensure_engine(*MODEL, command=fake_command(), on_note=notes.append)
    with Client(path) as client:
        assert client.engine.version == VERSION and client.engine.pid != old
    assert len(notes) == 1 and f"another version of LoRA Lab (pid {old}) was ended" in notes[0]


def test_several_that_meet_it_at_once_end_with_one_new_engine() -> None:
    outlived()
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ensure_engine, *MODEL, command=fake_command()) for _ in range(3)]
        paths = {one.result() for one in asked}
    assert len(paths) == 1
    Client(paths.pop()).close()


def test_one_that_trains_is_left_alone_and_its_run_named() -> None:
    old = outlived("/runs/1120-king")
    with pytest.raises(LoraLabError, match=rf"trains /runs/1120-king; wait .* `kill {old}`.* resume /runs/1120-king"):
        ensure_engine(*MODEL, command=fake_command("--die"))
    assert is_held(engine_key(*MODEL)), "it lives"
    with Client(socket_path(engine_key(*MODEL)), any_version=True) as client:
        assert client.engine.pid == old


def test_one_that_somebody_else_talks_to_is_left_alone() -> None:
    old = outlived()
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(socket_path(engine_key(*MODEL))))
        other.sendall(encode(Hello(pid=1, name="an older screen")))
        with pytest.raises(LoraLabError, match=rf"pid {old}\).*another program is connected"):
            ensure_engine(*MODEL, command=fake_command("--die"))
    assert is_held(engine_key(*MODEL)), "it lives"


def test_one_for_another_model_is_none_of_our_business() -> None:
    outlived("/runs/1120-king")
    path = ensure_engine("/models/other", "fp32", "cpu", command=fake_command())
    Client(path).close()
    assert is_held(engine_key(*MODEL))
