"""Having an engine: the living one, a new one, exactly one when two ask at once, a sentence when it does not start."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from loralab_core.errors import LoraLabError
from loralab_core.processes import Identity, identify
from loralab_core.wire.client import Client
from loralab_core.wire.launch import engine_command, ensure_engine
from loralab_core.wire.registry import (
    YOUNG_S,
    clear_dead_sockets,
    clear_stale,
    describe,
    engine_key,
    find_by_pid,
    held_on,
    hold_lock,
    is_held,
    list_engines,
    log_path,
    register,
    socket_path,
)
from tests.wire.fake_engine import FakeEngine, fake_command

MODEL = ("/models/m", "fp32", "cpu")


def test_one_engine_for_one_model_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    monkeypatch.chdir(tmp_path)
    keys = {engine_key(model, "fp32", "cpu") for model in ("model", "link", str(tmp_path / "model"))}
    assert len(keys) == 1
    assert keys.isdisjoint({engine_key("model", "bf16", "cpu"), engine_key("model", "fp32", "cpu", mode="run")})


def test_another_home_has_other_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = engine_key(*MODEL)
    monkeypatch.setenv("LORALAB_HOME", str(tmp_path))
    assert engine_key(*MODEL) != here


def test_started_when_there_is_none_and_used_when_there_is() -> None:
    notes: list[str] = []
    path = ensure_engine(*MODEL, command=fake_command(), on_note=notes.append)
    with Client(path) as client:
        pid = client.engine.pid
        assert os.getsid(pid) == pid != os.getsid(0), "it must not belong to our session"
    assert ensure_engine(*MODEL, command=fake_command("--die")) == path
    found = find_by_pid(pid)
    assert found is not None and found.socket == str(path) and notes == []


def test_two_that_ask_at_once_get_the_same_engine() -> None:
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ensure_engine, *MODEL, command=fake_command("--slow")) for _ in range(4)]
        paths = {one.result() for one in asked}
    assert len(paths) == 1 and len(list_engines()) == 1


def test_waiting_can_be_given_up_and_the_engine_that_was_started_is_whole() -> None:
    def enough() -> None:
        if is_held(engine_key(*MODEL)):
            raise LoraLabError("nobody waits any more")

    with pytest.raises(LoraLabError, match="nobody waits"):
        ensure_engine(*MODEL, command=fake_command("--slow"), on_wait=enough)
    path = ensure_engine(*MODEL, command=fake_command("--die"))
    assert [record.socket for record in list_engines()] == [str(path)]


def test_an_engine_that_does_not_start_is_quoted() -> None:
    with pytest.raises(
        LoraLabError, match=r"did not start: ValueError: model\.safetensors is truncated \(log: .*\.log\)"
    ):
        ensure_engine(*MODEL, command=fake_command("--die"))


def test_a_killed_engine_is_noticed_removed_and_said() -> None:
    path = ensure_engine(*MODEL, command=fake_command())
    with Client(path) as client:
        killed = client.engine.pid
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while find_by_pid(killed) is not None:  # its files are closed a moment before it counts as dead
        assert time.monotonic() < deadline
        time.sleep(0.005)
    notes: list[str] = []
    assert ensure_engine(*MODEL, command=fake_command(), on_note=notes.append) == path
    assert [f"pid {killed}" in note and "is gone" in note for note in notes] == [True]
    with Client(path) as client:
        assert client.engine.pid != killed


def test_a_frozen_engine_is_said_not_replaced() -> None:
    key = engine_key(*MODEL)
    with FakeEngine(socket_path(key), silent=True), pytest.raises(LoraLabError, match="does not answer"):
        ensure_engine(*MODEL, command=fake_command(), hello_timeout=0.2)


def test_stale_records_go_and_others_stay() -> None:
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    was = identify(dead.pid)
    dead.communicate()
    mine = describe("mine", model="/m", base="fp32", device="cpu")
    for key, process in {"dead": was, "away": Identity(1, "another-computer", 0.0), "mine": mine.process}.items():
        register(msgspec.structs.replace(mine, key=key, process=process, socket=str(socket_path(key))))
    socket_path("dead").touch()
    said = clear_stale()
    assert len(said) == 1 and f"pid {was.pid}" in said[0] and str(log_path("dead")) in said[0]
    assert not socket_path("dead").exists()
    assert {record.key for record in list_engines()} == {"away", "mine"}


def test_the_lock_lasts_as_long_as_its_holder() -> None:
    assert not is_held("key")
    handle = hold_lock("key")
    assert handle is not None and is_held("key") and hold_lock("key") is None
    os.close(handle)
    assert not is_held("key")


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LORALAB_HOME", str(tmp_path / "file"))
    with pytest.raises(LoraLabError, match="cannot write|cannot start"):
        ensure_engine(*MODEL, command=fake_command())


def test_the_command_line_of_the_engine() -> None:
    words = " ".join(engine_command("k", "/m", "bf16", "cuda:0", "run")[1:])
    assert words == "-m loralab_core.engine --model /m --base bf16 --device cuda:0 --key k --mode run"


def test_sockets_nobody_listens_at_are_swept_whoever_left_them() -> None:
    paths = {name: socket_path(name) for name in ("dead-sweep", "young-sweep", "living-sweep")}
    living = socket.socket(socket.AF_UNIX)
    living.bind(str(paths["living-sweep"]))
    living.listen()
    for name in ("dead-sweep", "young-sweep"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(paths[name]))
    old = time.time() - 2 * YOUNG_S
    for name in ("dead-sweep", "living-sweep"):
        os.utime(paths[name], (old, old))
    clear_dead_sockets()
    assert {name for name, path in paths.items() if path.exists()} == {"young-sweep", "living-sweep"}
    living.close()
    for path in paths.values():
        path.unlink(missing_ok=True)


def test_a_model_that_a_gpu_holds_is_found_there() -> None:
    assert held_on("/m") is None
    for key, device, mode in (("a", "cpu", ""), ("b", "cuda:2", "run-4711"), ("c", "cuda:1", "")):
        register(describe(key, model="/m", base="bf16", device=device, mode=mode))
    assert held_on("/m") == "cuda:1" and held_on("/other") is None
