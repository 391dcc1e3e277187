"""One home and one engine for all tests of a module: `from tests.engine.homes import home  # noqa: F401`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import _end_engines


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("home")
        patch.setenv("LORALAB_HOME", str(place))
        patch.setenv("LORALAB_ENGINE_IDLE_S", "60")
        yield place
        _end_engines()
