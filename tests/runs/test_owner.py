"""Who writes a run: alive, dead, replaced by another process of the same number, or on another computer."""

import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from loralab_core.errors import LoraLabError
from loralab_core.processes import Identity, identify
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.owner import claim, owner, release


@pytest.fixture
def run() -> RunDirectory:
    return create_run(TrainConfig(model="/m", corpus=("/c.txt",)))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def write(run: RunDirectory, identity: Identity) -> None:
    run.identity_path.write_bytes(msgspec.json.encode(identity))
    run.owner_path.write_text(f"{identity.pid}\n")


def test_claimed_and_released(run: RunDirectory) -> None:
    assert owner(run) is None
    claim(run)
    claim(run)  # once more by the same process is fine
    assert owner(run) == identify() and int(run.owner_path.read_text()) == os.getpid()
    release(run)
    assert owner(run) is None and not run.owner_path.exists() and not run.identity_path.exists()


def test_a_living_owner_is_named(run: RunDirectory, sleeper: subprocess.Popen[bytes]) -> None:
    write(run, identify(sleeper.pid))
    with pytest.raises(LoraLabError, match=f"process {sleeper.pid}"):
        claim(run)
    release(run)
    assert run.owner_path.exists(), "another process's claim is not ours to give up"


def test_a_dead_owner_is_none_also_before_it_is_reaped(run: RunDirectory, sleeper: subprocess.Popen[bytes]) -> None:
    write(run, identify(sleeper.pid))
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert owner(run) is None
    claim(run)
    assert owner(run) == identify()


def test_a_reused_pid_is_not_the_owner(run: RunDirectory, sleeper: subprocess.Popen[bytes]) -> None:
    before = identify(sleeper.pid)
    write(run, msgspec.structs.replace(before, started=before.started - 3600))
    assert owner(run) is None


def test_an_owner_elsewhere_is_said_and_not_overridden(run: RunDirectory) -> None:
    write(run, Identity(pid=1, host="another-computer", started=0.0))
    found = owner(run)
    assert found is not None and not found.is_here
    with pytest.raises(LoraLabError, match="another-computer"):
        claim(run)


def test_a_damaged_file_is_nobody(run: RunDirectory) -> None:
    run.identity_path.write_bytes(b"{")
    assert owner(run) is None
