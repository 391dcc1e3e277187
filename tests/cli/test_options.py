"""How settings come together, and what is refused before any engine starts."""

import argparse
import json
from pathlib import Path

import pytest

from loralab_core.cli.main import main
from loralab_core.cli.options import add_train_options, gather
from loralab_core.runs.config import TrainConfig, config_to_dict

REQUIRED = ["--model", "/m", "--corpus", "/c.txt"]


def gathered(*words: str) -> tuple[dict[str, object], dict[str, str]]:
    parser = argparse.ArgumentParser()
    add_train_options(parser)
    asked = gather(parser.parse_args([*REQUIRED, *words]))
    return config_to_dict(asked.config), asked.sources


def test_every_source_overrides_the_next(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('rank = 3\nalpha = 3.0\nlr = 3e-3\n"seq-len" = 33\n')
    layers = ["--rank", "5", "--set", "rank=4", "--set", "alpha=4", "--config", str(file), "--preset", "quick"]
    values, sources = gathered(*layers)
    shown = {key: (values[key], sources[key]) for key in ("rank", "alpha", "lr", "seq_len", "batch", "dropout")}
    assert shown == {
        "rank": (5, "option"),
        "alpha": (4.0, "--set"),
        "lr": (3e-3, "config file"),
        "seq_len": (33, "config file"),
        "batch": (8, "preset quick"),
        "dropout": (0.0, "default"),
    }


def test_epochs_take_back_the_steps_of_a_preset() -> None:
    values, _ = gathered("--preset", "quick", "--epochs", "2")
    assert (values["steps"], values["epochs"]) == (None, 2.0)
    values, _ = gathered("--preset", "balanced", "--steps", "7")
    assert (values["steps"], values["epochs"]) == (7, None)


def test_set_reaches_every_setting_in_its_own_type() -> None:
    values, _ = gathered("--set", "packing=false", "--set", "clip=null", "--set", "beta2=0.95", "--set", "keep=5")
    assert (values["packing"], values["clip"], values["beta2"], values["keep"]) == (False, None, 0.95, 5)


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "adapter_config.json").write_text("{}")
    values, _ = gathered("--model", "m", "--corpus", "a.txt", "b/*.md", "--run-dir", "r", "--from-adapter", "f")
    assert values["model"] == str(tmp_path / "m") and values["run_dir"] == str(tmp_path / "r")
    assert values["corpus"] == [str(tmp_path / "a.txt"), str(tmp_path / "b/*.md")]
    assert values["from_adapter"] == str(tmp_path / "f")
    assert gathered("--model", "owner/name")[0]["model"] == "owner/name"


def test_printed_settings_read_back_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", *REQUIRED, "--rank", "5", "--steps", "9", "--print-config"]
    assert main(words) == 0
    file = tmp_path / "settings.toml"
    file.write_text(capsys.readouterr().out)
    assert main(["train", "--config", str(file), "--print-config", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["settings"] == config_to_dict(TrainConfig(model="/m", corpus=("/c.txt",), rank=5, steps=9))
    assert again["sources"]["rank"] == "config file" and again["sources"]["steps"] == "config file"


def test_settings_are_shown_before_a_model_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--print-config"]) == 0
    assert 'model = ""' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no model: give --model"),
        (["--model", "{model}"], "no corpus: give --corpus"),
        (["--model", "nowhere", "--corpus", "{corpus}"], "nowhere"),
        (["--model", "{corpus}", "--corpus", "{corpus}"], "verses.txt"),
        (["--model", "{tmp}", "--corpus", "{corpus}"], "{tmp}"),
        (["--model", "{model}", "--corpus", "{tmp}/gone.txt"], "there is no corpus {tmp}/gone.txt"),
        (["--model", "{model}", "--corpus", "{tmp}/*.none"], "no file matches {tmp}/*.none"),
        (["--model", "{model}", "--corpus", "{tmp}/empty.txt"], "{tmp}/empty.txt is empty"),
        (["--model", "{model}", "--corpus", "{corpus}", "--rank", "0"], "rank"),
        (["--model", "{model}", "--corpus", "{corpus}", "--rank", "many"], "--rank"),
        (["--model", "{model}", "--corpus", "{corpus}", "--set", "rnak=4"], "no setting is called 'rnak'"),
        (["--model", "{model}", "--corpus", "{corpus}", "--set", "rank"], "--set rank: write it as key=value"),
        (["--model", "{model}", "--corpus", "{corpus}", "--preset", "best"], "no preset is called 'best'"),
        (["--model", "{model}", "--corpus", "{corpus}", "--config", "{tmp}/no.toml"], "{tmp}/no.toml"),
        (["--model", "{model}", "--corpus", "{corpus}", "--config", "{corpus}"], "verses.txt is not TOML"),
        (["--model", "{model}", "--corpus", "{corpus}", "--base", "nf4", "--mode", "full"], "use --mode adapter"),
        (["--model", "{model}", "--corpus", "{corpus}", "--base", "fp16", "--mode", "full"], "or --base fp32"),
        (["--model", "{model}", "--corpus", "{corpus}", "--base", "bf16", "--compute", "w4a8"], "--base nf4"),
        (["--model", "{model}", "--corpus", "{corpus}", "--device", "tpu"], "no device is called 'tpu'"),
        (["--model", "{model}", "--corpus", "{corpus}", "--from-adapter", "{tmp}"], "{tmp} is not an adapter"),
        (["--model", "{model}", "--corpus", "{corpus}", "--steps", "1", "--epochs", "1"], "not allowed with"),
        (["--model", "{model}", "--corpus", "{corpus}", "--watch", "caf\udce9"], "is not UTF-8 text"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str],
    sentence: str,
    model: Path,
    corpus: Path,
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.txt").touch()
    places = {"model": model, "corpus": corpus, "tmp": tmp_path}
    try:
        code = main(["train", *(word.format(**places) for word in words)])
    except SystemExit as left:  # argparse's own way
        code = left.code if isinstance(left.code, int) else 1
    printed = capsys.readouterr()
    assert code == 2 and printed.out == ""
    assert printed.err.count("\n") == 1 and sentence.format(**places) in printed.err
    assert not (home / "engines").exists() and not (home / "runs").exists()
