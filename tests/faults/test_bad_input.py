"""Bad input: exit code 2 and one line that names what is wrong, from every command, and never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loralab_core.cli.main import main
from loralab_core.runs.directory import find_run, list_runs
from loralab_core.runs.summary import summarise
from tests.engine.driving import events_of, loralab, small_training, weights
from tests.engine.homes import home  # noqa: F401
from tests.faults.broken_models import BREAKERS

pytestmark = pytest.mark.xdist_group("faults")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, names: object, words: str = "") -> str:
    """The one line on stderr. The command runs in this process; its engine, where it needs one, is a real one."""
    capsys.readouterr()
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert printed.err.count("\n") == 1 and "Traceback" not in printed.err + printed.out
    assert str(names) in printed.err and words in printed.err
    assert len(printed.err) > len(str(names)) + 15, "a name alone is no sentence"
    return printed.err


def jsonl(*rows: Any) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


GOOD_ROW = {"prompt": "Who painted it?", "completion": "Jack Gisburn did."}
UNTRAINED = {"messages": [{"role": "user", "content": "Is anybody there?"}]}

CORPORA = {
    "empty.txt": (b"", "is empty"),
    "blank.txt": (b" \n \n\n", ""),
    "picture.txt": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, ""),
    "latin.txt": ("Sm\u00f8rrebr\u00f8d og \u00f8l p\u00e5 bordet.\n" * 30).encode("latin-1"),
    "torn.jsonl": (jsonl(GOOD_ROW, GOOD_ROW, b'{"prompt": "Who', GOOD_ROW), "3"),
    "no_object.jsonl": (jsonl(GOOD_ROW, ["a", "list"]), "2"),
    "torn.json": (b'[{"prompt": "a", "completion": "b"}, {"prompt"', ""),
    "strange.jsonl": (jsonl({"left": 1, "right": 2}), ""),
    "masked.jsonl": (jsonl(*[UNTRAINED] * 5), ""),
}


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus(name: str, fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = CORPORA[name]
    content, words = given if isinstance(given, tuple) else (given, "")
    file = tmp_path / name
    file.write_bytes(content)
    command = small_training(fixtures_dir, corpus=file, run_dir=tmp_path / "run")
    refused(capsys, *command, names=file, words=words)
    out_line = refused(capsys, *command, "--json", names=file, words=words)  # the same directory: it never began
    assert out_line


@pytest.mark.parametrize("path", ["missing.txt", "nothing/*.jsonl"])
def test_a_corpus_that_is_not_there(
    path: str, fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, *small_training(fixtures_dir, corpus=tmp_path / path), names=tmp_path / path)


def test_a_folder_without_a_corpus(fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "image.png").write_bytes(b"\x89PNG")
    refused(capsys, *small_training(fixtures_dir, corpus=tmp_path / "folder"), names=tmp_path / "folder")


@pytest.fixture
def model(fixtures_dir: Path, tmp_path: Path) -> Path:
    place = tmp_path / "model"
    shutil.copytree(fixtures_dir / "models" / "stories260K", place, copy_function=shutil.copyfile)
    place.chmod(0o755)
    return place


@pytest.mark.parametrize("broken", BREAKERS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("command", ["generate", "eval"])
def test_a_model(
    broken: Callable[[Path], Path],
    command: str,
    model: Path,
    fixtures_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = broken(model)
    how = {"generate": ["--prompt", "Once"], "eval": ["--corpus", str(fixtures_dir / "corpora" / "the-verdict.txt")]}
    refused(capsys, command, "--model", str(model), "--base", "fp32", "--device", "cpu", *how[command], names=named)


@pytest.mark.parametrize("name", ["truncated", "missing_shard", "missing_tensor", "unknown_architecture"])
def test_a_model_to_train(
    name: str, model: Path, fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found in the engine, which lives on, and trains in the same directory once the model is whole."""
    broken = next(function for function in BREAKERS if function.__name__ == name)
    named = broken(model)
    command = small_training(fixtures_dir, model=model, run_dir=tmp_path / "run", steps=1)
    refused(capsys, *command, names=named)
    if name != "truncated":
        return
    shutil.copyfile(fixtures_dir / "models" / "stories260K" / "model.safetensors", model / "model.safetensors")
    out, _ = loralab(*command, "--json")
    assert events_of(out)[-1]["event"] == "done" and summarise(find_run("last")).status == "finished"
    assert sum(run.path == tmp_path / "run" for run, _ in list_runs()) == 1


def test_not_a_model(fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    for place in (file, tmp_path):
        refused(capsys, *small_training(fixtures_dir, model=place), names=place)
        refused(capsys, "generate", "--model", str(place), "--prompt", "Once", names=place)


def test_an_adapter_for_another_model(fixtures_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter = fixtures_dir / "adapters" / "tinyllama-r4-emotion"
    model = ["--model", str(fixtures_dir / "models" / "stories260K"), "--base", "fp32", "--device", "cpu"]
    corpus = str(fixtures_dir / "corpora" / "the-verdict.txt")
    how = ["--adapter", str(adapter)]
    refused(capsys, "generate", *model, *how, "--prompt", "Once", names=adapter, words="another model")
    refused(capsys, "eval", *model, *how, "--corpus", corpus, names=adapter, words="another model")
    refused(capsys, *small_training(fixtures_dir, from_adapter=adapter), names=adapter, words="another model")


def test_a_damaged_adapter(fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loralab(*small_training(fixtures_dir, steps=1))
    adapter = tmp_path / "adapter"
    shutil.copytree(find_run("last").adapter, adapter)
    model = ["--model", str(fixtures_dir / "models" / "stories260K"), "--base", "fp32", "--device", "cpu"]
    ask = ["generate", *model, "--prompt", "Once", "--adapter", str(adapter)]
    file = adapter / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    refused(capsys, *ask, names=file)
    file.unlink()
    refused(capsys, *ask, names=adapter)
    file.write_bytes(content)
    (adapter / "adapter_config.json").write_text("[]")
    refused(capsys, *ask, names=adapter / "adapter_config.json")
    refused(capsys, *ask[:-1], str(tmp_path / "nowhere"), names=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "names", "words"),
    [
        ({"seq_len": 100_000}, "--seq-len 100000", "512"),
        ({"seq_len": 1}, "seq_len = 1", "2"),
        ({"compute": "w4a8"}, "--compute w4a8", "--base nf4"),
        ({"targets": "q_proj,warp_drive"}, "warp_drive", "down_proj, gate_proj, k_proj"),
        ({"rank": 0}, "rank", ""),
        ({"val": 1.5}, "val", ""),
        ({"lr": -1}, "lr", ""),
        ({"device": "cuda:77"}, "cuda", ""),
        ({"set": "no_such_thing=1"}, "no_such_thing", ""),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_setting(
    options: dict[str, object], names: str, words: str, fixtures_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, *small_training(fixtures_dir, **options), names=names, words=words)


def test_a_run_directory_in_use(fixtures_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = small_training(fixtures_dir, steps=1, run_dir=tmp_path / "run")
    loralab(*command)
    before = weights(find_run(str(tmp_path / "run")))
    refused(capsys, *command, names=tmp_path / "run", words="loralab resume")
    assert weights(find_run(str(tmp_path / "run"))) == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("It was a dark and stormy night.")
    refused(capsys, *small_training(fixtures_dir, run_dir=tmp_path / "thesis"), names=tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_no_such_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("resume", "attach", "logs", "stop"):
        refused(capsys, command, "zzz", names="zzz")
        refused(capsys, command, str(tmp_path), names=tmp_path)
    damaged = tmp_path / "run.json"
    damaged.write_text('{"id": 3')
    refused(capsys, "resume", str(tmp_path), names=damaged)


def test_the_engine_lives_through_all_of_it(fixtures_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loralab(*small_training(fixtures_dir, steps=1))
    pid = the_engine_of(fixtures_dir)
    refused(capsys, *small_training(fixtures_dir, targets="warp_drive"), names="warp_drive")
    loralab(*small_training(fixtures_dir, steps=1))
    assert the_engine_of(fixtures_dir) == pid


def the_engine_of(fixtures: Path) -> int:
    from loralab_core.wire.registry import engine_key, read_engine

    record = read_engine(engine_key(str(fixtures / "models" / "stories260K"), "fp32", "cpu"))
    assert record is not None
    return record.process.pid
