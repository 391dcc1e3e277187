"""A path in the home of a user who does not exist: one sentence, wherever a path is given."""

from pathlib import Path

import pytest

from tests.engine.driving import loralab, small_training
from tests.engine.homes import home  # noqa: F401
from tests.faults.test_bad_input import refused

pytestmark = pytest.mark.xdist_group("faults")

NOBODY = "~nobody-of-that-name/x"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--model", "pocket", "--corpus", NOBODY],
        ["train", "--model", NOBODY, "--corpus", __file__],
        ["train", "--model", "pocket", "--corpus", __file__, "--run-dir", NOBODY],
        ["train", "--model", "pocket", "--corpus", __file__, "--from-adapter", NOBODY],
        ["data", "show", NOBODY, "--model", "pocket"],
        ["data", "show", __file__, "--model", NOBODY],
        ["attach", NOBODY],
        ["logs", NOBODY],
    ],
    ids=lambda arguments: " ".join(arguments[:-1]) if isinstance(arguments, list) else "",
)
def test_the_home_of_a_user_who_does_not_exist(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, *arguments, names=NOBODY, words="" if "--from-adapter" in arguments else "there is no user")


def test_a_home_for_everything_that_can_be_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("LORALAB_HOME", NOBODY)
        refused(capsys, "runs", names=NOBODY, words="there is no user")


def test_an_export_to_the_home_of_a_user_who_does_not_exist(
    fixtures_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loralab(*small_training(fixtures_dir, steps=1))
    refused(capsys, "runs", "export", "last", NOBODY, names=NOBODY, words="there is no user")
