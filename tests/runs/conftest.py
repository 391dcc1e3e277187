"""A run as `loralab train` makes it, with nothing in it yet."""

import pytest

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run


@pytest.fixture
def run() -> RunDirectory:
    return create_run(TrainConfig(model="/m", corpus=("/c.txt",)))
