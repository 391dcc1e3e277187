"""Runs in processes of their own that may be killed, without an engine around them.

They are forked from a server that has imported torch already, so that twenty of them do not cost twenty imports.
"""

import multiprocessing
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory
from tests.engine.driving import PATIENCE_S

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["loralab_core.training.loop", "tests.engine.driving"])


def _train(config: TrainConfig) -> None:
    from loralab_core.training import train

    for _ in train(config):
        pass


def _resume(path: Path) -> None:
    from loralab_core.training import resume

    for _ in resume(RunDirectory(path)):
        pass


def training(config: TrainConfig) -> BaseProcess:
    return _started(_forks.Process(target=_train, args=(config,)))


def resuming(run: RunDirectory) -> BaseProcess:
    return _started(_forks.Process(target=_resume, args=(run.path,)))


def _started(process: BaseProcess) -> BaseProcess:
    process.start()
    return process


def kill(process: BaseProcess) -> bool:
    """kill -9; whether it was still at work."""
    process.kill()
    process.join(PATIENCE_S)
    return process.exitcode == -signal.SIGKILL


def run_to_end(process: BaseProcess) -> None:
    process.join(PATIENCE_S)
    assert process.exitcode == 0
