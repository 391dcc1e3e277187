"""Systems that end a user's processes at logout are recognised, and the way round is used or said."""

import pytest

from loralab_core.wire.logout import SCOPE_COMMAND, how_to_survive, kills_user_processes

SHIPPED = "[Login]\n#KillUserProcesses=no\n#KillExcludeUsers=root\n"
KILLS = "[Login]\nKillUserProcesses=yes\n"


@pytest.mark.parametrize(
    ("texts", "user", "kills"),
    [
        ([], "ada", None),
        ([SHIPPED], "ada", None),
        ([SHIPPED, KILLS], "ada", True),
        ([KILLS], "root", False),
        ([KILLS, "[Login]\nKillUserProcesses = no"], "ada", False),
        ([KILLS, "[Login]\nKillExcludeUsers=root ada"], "ada", False),
        ([KILLS, "[Login]\nKillOnlyUsers=bob"], "ada", False),
        ([KILLS, "[Login]\nKillOnlyUsers=bob ada"], "ada", True),
    ],
)
def test_what_the_configuration_says(texts: list[str], user: str, kills: bool | None) -> None:
    assert kills_user_processes(texts, user) is kills


def test_nothing_to_do_where_nothing_kills() -> None:
    assert how_to_survive({}, kills=False, lingers=False, scope_works=False) == ((), "")


def test_a_scope_is_used_where_it_outlives_the_login() -> None:
    assert how_to_survive({}, kills=True, lingers=True, scope_works=True) == (SCOPE_COMMAND, "")


@pytest.mark.parametrize(("lingers", "scope_works"), [(False, True), (True, False)])
def test_otherwise_the_user_hears_what_to_do(lingers: bool, scope_works: bool) -> None:
    found = how_to_survive({}, kills=True, lingers=lingers, scope_works=scope_works)
    assert found.wrapper == () and "loginctl enable-linger" in found.note


def test_a_slurm_job_is_named() -> None:
    found = how_to_survive({"SLURM_JOB_ID": "4711"}, kills=False, lingers=False, scope_works=False)
    assert "Slurm job 4711" in found.note and "resume" in found.note
