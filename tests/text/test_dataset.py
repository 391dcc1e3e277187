"""Preparing a corpus: what is cached, held out, cut, reported; and that nothing half-made is ever used."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.text.dataset import Cancelled, TokenizedCorpus, fingerprint_of, prepare
from loralab_core.text.tokenizer import Tokenizer


@pytest.fixture
def prepared(plain: Tokenizer, tmp_path: Path) -> Callable[..., TokenizedCorpus]:
    def make(*paths: Path, **options: Any) -> TokenizedCorpus:
        return prepare(paths, plain, cache=tmp_path / "cache", **{"seq_len": 64, "val": 0.0, **options})

    return make


def _chats(path: Path, numbers: range, answer: str = "The answer is {}.") -> Path:
    rows = ({"prompt": f"What is {n}?", "completion": answer.format(n)} for n in numbers)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _rows_of(pieces: Any, tokenizer: Tokenizer) -> set[str]:
    spans = zip(pieces.starts.tolist(), pieces.lengths.tolist(), strict=True)
    return {tokenizer.decode(pieces.ids[start : start + length].tolist()) for start, length in spans}


def test_what_is_prepared_is_what_the_tokenizer_says(prepared, plain: Tokenizer, tmp_path: Path) -> None:
    corpus = prepared(_chats(tmp_path / "a.jsonl", range(3)))
    assert corpus.format == "prompt/completion pairs, 3 rows"
    assert "no chat template" in corpus.notes[0]
    assert corpus.rows == len(corpus.train) == 3
    turns = [{"role": "user", "content": "What is 1?"}, {"role": "assistant", "content": "The answer is 1."}]
    start, length = int(corpus.train.starts[1]), int(corpus.train.lengths[1])
    assert corpus.train.ids[start : start + length].tolist() == plain.encode_chat(turns, add_generation_prompt=False)
    assert corpus.tokens == corpus.train.tokens == len(corpus.train.ids)
    assert corpus.trained_tokens == int(corpus.train.mask.sum())


def test_a_second_time_nothing_is_tokenised(prepared, tmp_path: Path, monkeypatch) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5))
    first = prepared(path)
    monkeypatch.setattr("loralab_core.text.dataset.tokenize_files", None)
    again = prepared(path, seq_len=8, val=0.2)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.train.ids, first.train.ids)
    with pytest.raises(TypeError):
        prepared(path, prompt_loss=True)


def test_a_changed_file_changes_the_fingerprint_and_its_place_does_not(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = _chats(tmp_path / "a.jsonl", range(5))
    first = fingerprint_of([path], cache)
    assert fingerprint_of([_chats(tmp_path / "b.jsonl", range(5))], cache) == first
    stamp = path.stat()
    path.write_text(path.read_text().replace("What is 3", "What is 4"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert fingerprint_of([path], cache) != first
    assert fingerprint_of([tmp_path / "b.jsonl", path], cache) != fingerprint_of([path, tmp_path / "b.jsonl"], cache)


def test_an_unchanged_old_file_is_not_read_again(tmp_path: Path, monkeypatch) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5))
    os.utime(path, (1e9, 1e9))
    first = fingerprint_of([path], tmp_path / "cache")
    monkeypatch.setattr("loralab_core.text.fingerprint._hash", None)
    assert fingerprint_of([path], tmp_path / "cache") == first


def test_rows_keep_their_side_when_others_come_and_go(prepared, plain: Tokenizer, tmp_path: Path) -> None:
    some = prepared(_chats(tmp_path / "a.jsonl", range(200)), val=0.2)
    more = prepared(_chats(tmp_path / "b.jsonl", range(-300, 400)), val=0.2)
    assert 20 < len(some.validation) < 60
    assert _rows_of(some.validation, plain) <= _rows_of(more.validation, plain)
    assert _rows_of(some.train, plain) <= _rows_of(more.train, plain)
    assert not _rows_of(more.train, plain) & _rows_of(more.validation, plain)


@pytest.mark.parametrize("val", [0.001, 0.999])
@pytest.mark.parametrize("count", [2, 3])
def test_small_corpora_have_something_on_both_sides(prepared, tmp_path: Path, val: float, count: int) -> None:
    corpus = prepared(_chats(tmp_path / "a.jsonl", range(count)), val=val)
    assert len(corpus.validation) >= 1
    assert len(corpus.train) >= 1


def test_equal_rows_never_stand_on_both_sides(prepared, plain: Tokenizer, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(2))
    path.write_text(path.read_text() * 10)
    corpus = prepared(path, val=0.001)
    assert len(corpus.validation) == len(corpus.train) == 10


def test_a_single_book_is_held_out_window_by_window(prepared, fixtures_dir: Path) -> None:
    corpus = prepared(fixtures_dir / "corpora/tinyshakespeare.txt", seq_len=256, val=0.1)
    assert corpus.rows == 1
    assert 0.05 < len(corpus.validation) / (len(corpus.train) + len(corpus.validation)) < 0.15
    starts = np.sort(np.concatenate([corpus.train.starts, corpus.validation.starts]))
    assert (np.diff(starts) == 256).all()


@pytest.mark.parametrize(("overlong", "pieces", "count"), [("split", 4, "split"), ("cut", 1, "cut")])
def test_rows_that_are_too_long(prepared, tmp_path: Path, overlong: str, pieces: int, count: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "word " * 240}) + "\n")
    corpus = prepared(path, overlong=overlong)
    assert len(corpus.train) == pieces
    assert getattr(corpus, count) == 1
    assert any(overlong in note for note in corpus.notes)
    assert corpus.train.lengths.max() == 64


def test_pieces_without_a_trained_token_are_left_out(prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "word " * 200, "completion": "yes"}) + "\n")
    corpus = prepared(path)
    assert len(corpus.train) == 1
    assert corpus.dropped_pieces >= 2
    with pytest.raises(BadInput, match="raise --seq-len"):
        prepared(path, overlong="cut")


def test_rows_with_nothing_to_train_are_counted(prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": ""}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = prepared(path)
    assert (corpus.rows, corpus.skipped) == (1, 1)
    assert "1 row with nothing to train on skipped" in corpus.notes


def test_a_corpus_with_nothing_to_train_is_refused(prepared, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "alone"}]}) + "\n")
    with pytest.raises(BadInput, match="no row has anything to train on") as caught:
        prepared(path)
    assert str(path) in str(caught.value)
    assert prepared(path, prompt_loss=True).rows == 1
    assert _stores(tmp_path) == 1


def test_a_bad_row_late_in_the_file_leaves_nothing_behind(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5000))
    with open(path, "a") as file:
        file.write("{broken\n")
    with pytest.raises(BadInput, match="line 5001"):
        prepared(path)
    assert _stores(tmp_path) == 0


def _stores(tmp_path: Path) -> int:
    """Everything in the cache, finished or not."""
    return len(list((tmp_path / "cache" / "tokens").glob("*"))) + len(list((tmp_path / "cache/tokens").glob(".*")))


def test_progress_comes_and_ends_at_the_whole(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5000))
    events: list[dict[str, Any]] = []
    corpus = prepared(path, progress=events.append)
    assert events[-1] == {
        "event": "tokenizing",
        "done_bytes": path.stat().st_size,
        "total_bytes": path.stat().st_size,
        "rows": 5000,
        "tokens": corpus.tokens,
    }


def test_cancelling_keeps_nothing(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5000))
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        prepared(path, cancelled=lambda: next(asked))
    assert _stores(tmp_path) == 0
    assert prepared(path).rows == 5000


def test_a_file_that_changes_while_it_is_read_is_noticed(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(5000))

    def touch(event: dict[str, Any]) -> None:
        with open(path, "a") as file:
            file.write("\n")

    with pytest.raises(LoraLabError, match="changed while"):
        prepared(path, progress=touch)
    assert _stores(tmp_path) == 0


def test_two_at_once_get_the_same_whole_corpus(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(3000))
    results: list[TokenizedCorpus] = []
    workers = [threading.Thread(target=lambda: results.append(prepared(path))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    assert all(np.array_equal(one.train.ids, results[0].train.ids) for one in results)
    assert _stores(tmp_path) == 1


def test_a_damaged_store_is_made_again(prepared, tmp_path: Path) -> None:
    path = _chats(tmp_path / "a.jsonl", range(50))
    first = prepared(path)
    (first.store.directory / "ids.bin").write_bytes(b"short")
    assert prepared(path).tokens == first.tokens
    (first.store.directory / "about.json").write_bytes(b"{")
    assert prepared(path).tokens == first.tokens


def test_a_cache_that_cannot_be_written_is_said(plain: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(LoraLabError, match="cannot store the tokenised corpus"):
        prepare([_chats(tmp_path / "a.jsonl", range(5))], plain, seq_len=64, val=0, cache=tmp_path / "cache")


_CHILD = """
import sys, resource
from pathlib import Path
from loralab_core.text.dataset import prepare
from loralab_core.text.tokenizer import Tokenizer
model, corpus, cache = sys.argv[1:]
tokenizer = Tokenizer.load(model)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
corpus = prepare([corpus], tokenizer, seq_len=256, val=0.02, cache=Path(cache),
                 progress=lambda event: print(event["done_bytes"], flush=True))
print(corpus.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _child(fixtures_dir: Path, corpus: Path, cache: Path) -> "subprocess.Popen[str]":
    model = fixtures_dir / "models/stories3M"
    command = [sys.executable, "-c", _CHILD, str(model), str(corpus), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_a_killed_tokenisation_leaves_nothing_usable_and_is_swept_up(
    fixtures_dir: Path, prepared, tmp_path: Path, monkeypatch
) -> None:
    path = _chats(tmp_path / "a.jsonl", range(200_000))
    child = _child(fixtures_dir, path, tmp_path / "cache")
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = list((tmp_path / "cache/tokens").iterdir())
    assert [entry.name[0] for entry in left] == ["."]
    monkeypatch.setattr("loralab_core.text.token_cache._YOUNG", 0.0)
    assert prepared(_chats(tmp_path / "b.jsonl", range(10))).rows == 10
    assert not left[0].exists()


def test_a_large_file_is_never_held_in_memory(fixtures_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    word = " ".join("word" for _ in range(100))
    row = json.dumps({"prompt": "Say it", "completion": word, "id": "x" * 20_000}) + "\n"
    with open(path, "w") as file:
        for _ in range(5000):
            file.write(row)
    started = time.monotonic()
    output, _ = _child(fixtures_dir, path, tmp_path / "cache").communicate(timeout=60)
    rows, grown_kib = map(int, output.splitlines()[-1].split())
    assert rows == 5000
    assert (
        grown_kib * 1024 < path.stat().st_size * 0.7
    )  # the file is 100 MB; reading it whole would more than double it
    assert time.monotonic() - started < 30
