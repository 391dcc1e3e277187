"""The other commands, and the frame around all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loralab_core.cli.main import main
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run, list_runs
from loralab_core.runs.owner import claim


def printed_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(arguments) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("arguments", [["runs", "--json"], ["runs", "list", "--json"]])
def test_runs_are_listed(run: RunDirectory, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    (listed,) = printed_json(capsys, *arguments)["runs"]  # type: ignore[misc]
    assert (listed["id"], listed["status"], listed["step"], listed["steps"]) == (run.path.name, "stopped", 2, 4)


def test_the_list_and_the_details_for_a_person(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert run.path.name in capsys.readouterr().out
    assert main(["runs", "show", "last"]) == 0
    assert "2 of 4, 100 tokens" in capsys.readouterr().out


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert "no runs yet" in capsys.readouterr().err


def test_details_hold_the_record(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed_json(capsys, "runs", "show", "last", "--json")
    assert shown["record"]["config"]["name"] == "verses" and shown["path"] == str(run.path)  # type: ignore[index]


def test_a_renamed_run_is_listed_and_found_by_its_name(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_json(capsys, "runs", "rename", "last", "the good one", "--json")["name"] == "the good one"
    assert main(["runs"]) == 0 and main(["runs", "show", "the good one"]) == 0
    out = capsys.readouterr().out
    assert out.count("the good one") == 2 and str(run.path) in out
    assert main(["runs", "rename", "last", "x" * 100]) == 2
    assert "80 characters" in capsys.readouterr().err


def test_deleting_asks_and_can_be_told_not_to(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "delete", "last"]) == 2
    assert "add --yes" in capsys.readouterr().err and run.path.exists()
    assert main(["runs", "delete", "last", "--yes"]) == 0
    assert list_runs() == []


def test_a_running_run_is_not_deleted(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    claim(run)
    assert main(["runs", "delete", "last", "--yes"]) == 2
    assert "loralab stop" in capsys.readouterr().err and run.path.exists()


def test_export_copies_the_adapter_and_overwrites_nothing(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out" / "adapter"
    assert printed_json(capsys, "runs", "export", "last", str(folder), "--json") == {
        "adapter": str(folder),
        "step": None,
    }
    assert (folder / "adapter_config.json").read_text() == "{}"
    assert main(["runs", "export", "last", str(folder)]) == 2
    assert f"{folder} exists already" in capsys.readouterr().err


def test_a_run_in_progress_gives_its_newest_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = create_run(TrainConfig(model="/m", corpus=("/c.txt",)))
    for step in (10, 20):
        place = run.checkpoints / f"step-{step:06d}"
        place.mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors"):
            (place / name).write_text(str(step))
    shown = printed_json(capsys, "runs", "export", "last", str(tmp_path / "out"), "--json")
    assert shown == {"adapter": str(tmp_path / "out"), "step": 20}
    copied = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert copied == {"adapter_config.json": "20", "adapter_model.safetensors": "20"}


def test_a_run_without_an_adapter_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_run(TrainConfig(model="/m", corpus=("/c.txt",)))
    assert main(["runs", "export", "last", str(tmp_path / "out")]) == 2
    assert "no result yet" in capsys.readouterr().err


def test_all_weights_in_progress_are_exported_from_their_checkpoint(tmp_path: Path) -> None:
    run = create_run(TrainConfig(model="/m", corpus=("/c.txt",), mode="full"))
    place = run.checkpoints / "step-000010"
    place.mkdir()
    for name in ("config.json", "model.safetensors", "optimizer.safetensors", "state.json"):
        (place / name).write_text("x")
    assert main(["runs", "export", "last", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize(
    "wrong", [("generate", "--max-new-tokens=0"), ("generate", "--threads=-2"), ("chat", "--max-new-tokens=x")]
)
def test_counts_are_counts(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*wrong, "--model", "/m"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert wrong[1].partition("=")[0] in said and "1 or more" in said


@pytest.mark.parametrize("command", ["presets", "models", "hardware", "doctor"])
def test_tables_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_json(capsys, command, "--json")
    assert main([command]) == 0
    assert capsys.readouterr().out.count("\n") >= 3


@pytest.mark.parametrize("command", ["resume", "attach", "logs", "stop"])
def test_an_unknown_run_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "last"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    listed = capsys.readouterr().out
    for command in ("train", "resume", "runs", "attach", "logs", "stop", "chat", "hardware", "doctor"):
        assert f"    {command} " in listed
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0


def test_version_and_help_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("loralab ")
    assert main([]) == 0
    assert "usage: loralab" in capsys.readouterr().out


def test_a_reader_that_leaves_is_no_error(run: RunDirectory) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "loralab_core.cli.main", "runs", "show", "last", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(20) == 0


@pytest.mark.parametrize("command", ["chat", "generate"])
def test_a_way_of_drawing_that_cannot_be_is_said_before_a_model_is_read(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--model", "/nowhere", "--top-p", "95"]) == 2
    assert capsys.readouterr().err == "top-p cannot be 95.0: give a share from 0 to 1, such as 0.95\n"
