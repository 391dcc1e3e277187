"""Downloads from a Hub on this computer: what comes, what does not, and what is said when it goes wrong."""

import fcntl
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loralab_core.catalog.hub_cache import CachedRepository
from loralab_core.catalog.repository import PATIENCE_S
from loralab_core.errors import first_line
from tests.catalog.hub_server import (
    COMMIT,
    ID,
    OLD_ID,
    SMALL,
    TOKEN,
    Hub,
    environment,
    etag,
    loralab,
    model_files,
    weights,
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hugging face"


def pull(hub: Hub, cache: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return loralab(cache, hub.address, "models", "pull", ID, *more, **variables)


def test_only_what_is_needed_comes_and_the_place_is_printed(hub: Hub, cache: Path) -> None:
    done = pull(hub, cache)
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.removesuffix("\n"))
    assert {file.name: file.read_bytes() for file in place.iterdir()} == SMALL | {"model.safetensors": weights()}
    assert f"downloading {ID}: 100%" in done.stderr


def test_the_cache_is_the_one_of_hugging_face(hub: Hub, cache: Path) -> None:
    place = pull(hub, cache).stdout.strip()
    asks = f"from huggingface_hub import snapshot_download; print(snapshot_download({ID!r}, allow_patterns='*.json'))"
    offline = environment(cache, hub.address, HF_HUB_OFFLINE="1")
    found = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, env=offline, check=True)
    assert found.stdout.strip() == place


def test_what_is_here_is_not_downloaded_again(hub: Hub, cache: Path) -> None:
    first = pull(hub, cache)
    hub.asked.clear()
    again = pull(hub, cache)
    assert again.stdout == first.stdout
    assert [one.path for one in hub.asked] == [f"/api/models/{ID}"]


def test_shards_are_those_of_the_index(hub: Hub, cache: Path) -> None:
    shards = {f"part-{number}.safetensors": bytes([number]) * 1000 for number in (1, 2)}
    index = b'{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}'
    hub.files = SMALL | shards | {"model.safetensors.index.json": index, "part-3.safetensors": b"of another layout"}
    hub.files["model-00001-of-00001.safetensors"] = b""
    place = Path(pull(hub, cache).stdout.strip())
    assert {file.name for file in place.glob("*.safetensors")} == set(shards)


@pytest.mark.parametrize("cuts", [[100_000], [70_000, 70_000, 70_000]])
def test_a_cut_line_is_taken_up_where_it_broke(hub: Hub, cache: Path, cuts: list[int]) -> None:
    hub.cuts = list(cuts)
    place = Path(pull(hub, cache).stdout.strip())
    assert (place / "model.safetensors").read_bytes() == weights()
    ranges = [one.headers.get("range") for one in hub.gets("model.safetensors")]
    assert ranges[0] is None and len(ranges) == len(cuts) + 1
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:] if asked]
    assert starts == sorted(starts) and 0 < starts[0] <= cuts[0]


def test_a_hub_that_knows_no_ranges_sends_all_again(hub: Hub, cache: Path) -> None:
    hub.cuts, hub.ignores_range = [100_000], True
    place = Path(pull(hub, cache).stdout.strip())
    assert (place / "model.safetensors").read_bytes() == weights()


def test_a_killed_download_goes_on_in_the_next_program(hub: Hub, cache: Path) -> None:
    blobs = cache / "hub" / "models--owner--name" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag(weights())}.incomplete").write_bytes(weights()[:123_456])
    place = Path(pull(hub, cache).stdout.strip())
    assert [one.headers.get("range") for one in hub.gets("model.safetensors")] == ["bytes=123456-"]
    assert (place / "model.safetensors").read_bytes() == weights()


def test_ctrl_c_ends_it_and_keeps_what_arrived(hub: Hub, cache: Path) -> None:
    hub.stands_still = threading.Event()  # or it might be here before it is interrupted
    command = [sys.executable, "-m", "loralab_core.cli.main", "models", "pull", ID]
    with subprocess.Popen(command, env=environment(cache, hub.address), stderr=subprocess.DEVNULL) as running:
        partial = cache / "hub/models--owner--name/blobs" / f"{etag(weights())}.incomplete"
        deadline = time.monotonic() + 30
        while not (partial.exists() and partial.stat().st_size):
            assert running.poll() is None and time.monotonic() < deadline
        running.send_signal(signal.SIGINT)
        assert running.wait(5) == 130  # sooner than a line that stands still is given up
    hub.stands_still.set()
    kept = partial.read_bytes()
    assert kept and weights().startswith(kept)
    assert pull(hub, cache).returncode == 0
    assert hub.gets("model.safetensors")[-1].headers["range"] == f"bytes={len(kept)}-"


GIVES_UP = f"""
from loralab_core.catalog.hub import resolve_model

class GivenUp(Exception): ...

def progress(done, total, what):
    if done > 100_000:
        raise GivenUp

try:
    resolve_model({ID!r}, progress=progress)
except Exception as error:
    print(error)
"""


def test_who_gives_up_need_not_wait_for_a_silent_hub(hub: Hub, cache: Path) -> None:
    """As the screen does: it is left, or the same model is chosen again, and the line of the first stands still."""
    hub.stands_still = threading.Event()
    command = [sys.executable, "-c", GIVES_UP]
    subprocess.run(command, env=environment(cache, hub.address), timeout=8, check=True)
    assert not hub.stands_still.is_set()


LOOKS_ON = f"""
import sys
from loralab_core.catalog import meter
from loralab_core.cli.main import main

meter.SILENT_S = 0.2  # or the test would wait as long as a user does
sys.exit(main(["models", "pull", {ID!r}]))
"""


def test_what_another_program_downloads_is_waited_for(hub: Hub, cache: Path) -> None:
    blobs = cache / "hub" / "models--owner--name" / "blobs"
    blobs.mkdir(parents=True)
    command = [sys.executable, "-c", LOOKS_ON]
    with open(blobs / f"{etag(weights())}.incomplete", "ab") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        running = subprocess.Popen(command, env=environment(cache, hub.address), stderr=subprocess.PIPE, text=True)
        assert running.stderr is not None
        while "waiting for another program that downloads it" not in (said := running.stderr.readline()):
            assert said, "it ended instead"
        others.write(weights())
        others.flush()
        Path(others.name).rename(blobs / etag(weights()))
    running.communicate(timeout=60)
    assert running.returncode == 0 and not hub.gets("model.safetensors")
    assert not list(cache.rglob("*.incomplete"))


def test_two_programs_that_place_one_file_leave_it_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other revisions show the same blob: it may not be moved away from them."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = CachedRepository(ID)
    repository.blob("e").parent.mkdir(parents=True)
    repository.blob("e").write_bytes(b"weights")

    def place() -> None:
        for _ in range(500):
            repository.place("e", COMMIT, "model.safetensors")

    with ThreadPoolExecutor(4) as pool:
        for running in [pool.submit(place) for _ in range(4)]:
            running.result()
    assert repository.blob("e").read_bytes() == b"weights"


@pytest.mark.parametrize("said", [{"sha256": "0" * 64}, {"size": 300_001}, {"size": 100_000}])
def test_a_wrong_checksum_or_size_is_not_kept(hub: Hub, cache: Path, said: dict[str, object]) -> None:
    hub.listed["model.safetensors"] = said
    done = pull(hub, cache)
    assert done.returncode == 1 and "arrived damaged" in done.stderr and not done.stdout
    assert not list(cache.rglob("*.incomplete")) and not list(cache.rglob("model.safetensors"))


def test_a_model_larger_than_the_disk_is_refused_before_its_weights_come(hub: Hub, cache: Path) -> None:
    hub.listed["model.safetensors"] = {"size": 10**18}
    done = pull(hub, cache)
    assert done.returncode == 1 and "GB free; make room" in done.stderr
    assert not hub.gets("model.safetensors")


def test_a_disk_that_is_full_keeps_what_it_has(hub: Hub, cache: Path) -> None:
    """A limit on the size of files stands for it."""
    few = f"ulimit -f 100; exec {sys.executable} -m loralab_core.cli.main models pull {ID}"
    done = subprocess.run(
        ["bash", "-c", few], env=environment(cache, hub.address), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "cannot write model.safetensors of owner/name to" in done.stderr
    assert "what has arrived is kept" in done.stderr and done.stderr.count("cannot write") == 1
    assert (Path(pull(hub, cache).stdout.strip()) / "model.safetensors").read_bytes() == weights()
    assert hub.gets("model.safetensors")[-1].headers["range"] == f"bytes={100 * 1024}-"


LACKING = f"""
from loralab_core.catalog.hub import resolve_model

resolve_model({ID + "@" + "d" * 40!r}, progress=lambda done, total, what: print(total - done))
"""


def test_what_another_revision_has_brought_is_not_lacking(hub: Hub, cache: Path) -> None:
    """Neither in the progress nor where it is compared with the room on the disk."""
    pull(hub, cache)
    hub.branches["d" * 40] = "d" * 40
    command = [sys.executable, "-c", LACKING]
    done = subprocess.run(command, env=environment(cache, hub.address), capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"0"}


def test_the_token_goes_to_the_hub_as_a_header_and_nowhere_else(hub: Hub, cache: Path, home: Path) -> None:
    with Hub() as other:
        hub.redirect = other.address
        done = pull(hub, cache, HF_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        assert {one.headers.get("authorization") for one in hub.asked} == {f"Bearer {TOKEN}"}
        assert other.asked and not any("authorization" in one.headers for one in other.asked)
    assert not any(TOKEN in one.path for one in hub.asked)
    assert TOKEN not in done.stdout + done.stderr
    assert not any(TOKEN.encode() in file.read_bytes() for root in (cache, home) for file in root.rglob("*.*") if
                   file.is_file())  # fmt: skip


def test_a_redirect_goes_on_where_the_line_broke(hub: Hub, cache: Path) -> None:
    with Hub(cuts=[100_000]) as other:
        hub.redirect = other.address
        place = Path(pull(hub, cache).stdout.strip())
        assert (place / "model.safetensors").read_bytes() == weights()
        assert "range" in other.asked[-1].headers


def test_a_token_that_cannot_be_sent_is_not_shown(hub: Hub, cache: Path) -> None:
    done = pull(hub, cache, HF_TOKEN="ungewöhnlich-geheim")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr and "your token holds characters that no token has" in done.stderr


INVALID = {"X-Error-Message": "Invalid credentials in Authorization header"}
WAITS = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Your request to access model owner/name is awaiting a review"}
REJECTED = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Your request to access model owner/name has been rejected"}
REFUSALS = [
    ("api", 401, {}, "no model owner/name, or it is private (then `hf auth login`", 2),
    ("api", 401, INVALID, "does not take your token", 2),
    ("api", 403, {"X-Error-Message": "Forbidden"}, "gives owner/name only to those it knows; `hf auth login`", 2),
    ("api", 403, {"X-Error-Message": "Access to this resource is disabled."}, "has closed owner/name to everybody", 2),
    ("api", 451, {}, "has closed owner/name to everybody", 2),
    ("api", 404, {"X-Error-Code": "RepoNotFound"}, "the Hub has no model owner/name", 2),
    ("api", 429, {"Retry-After": "7"}, "too many requests, try again in 7 s", 1),
    ("api", 429, {"RateLimit": '"api";r=0;t=55'}, "too many requests, try again in 55 s", 1),
    ("api", 200, {"Content-Type": "text/html"}, "what answered for owner/name is not the Hub", 1),
    ("api", 503, {}, "downloading owner/name failed: ", 1),
    ("config.json", 403, {"X-Error-Code": "GatedRepo"}, "needs its licence accepted", 2),
    ("config.json", 403, WAITS, "your request waits for its authors", 2),
    ("config.json", 403, REJECTED, "its authors have rejected your request", 2),
    ("config.json", 401, {"X-Error-Code": "GatedRepo"}, "`hf auth login` with your token", 2),
    ("model.safetensors", 429, {"Retry-After": "7"}, "what has arrived is kept", 1),
    ("model.safetensors", 404, {"X-Error-Code": "EntryNotFound"}, "owner/name changed on the Hub", 1),
]


@pytest.mark.parametrize(("where", "status", "headers", "sentence", "code"), REFUSALS)
def test_what_the_hub_refuses_is_a_sentence(
    hub: Hub, cache: Path, where: str, status: int, headers: dict[str, str], sentence: str, code: int
) -> None:
    hub.refuses[where] = (status, headers)
    done = pull(hub, cache)
    assert sentence in done.stderr and done.returncode == code and not done.stdout
    assert "Traceback" not in done.stderr


GATED = {"X-Error-Code": "GatedRepo"}
FINE_GRAINED = {"X-Error-Message": "enable access to public gated repositories in your fine-grained token settings"}
WITH_A_TOKEN = [
    (403, GATED, "with the account your token belongs to"),
    (401, GATED, "does not take your token"),
    (401, {"X-Error-Message": 'User Access Token "loralab" is expired'}, "does not take your token"),
    (403, FINE_GRAINED, "in its settings on the Hub, allow it to read public gated repositories"),
    (403, {"X-Error-Message": "Forbidden"}, "your token gives no access to owner/name"),
    (404, {"X-Error-Code": "RepoNotFound"}, "or it is private and your token's account may not see it"),
]


@pytest.mark.parametrize(("status", "headers", "sentence"), WITH_A_TOKEN)
def test_who_has_a_token_is_told_what_it_lacks(
    hub: Hub, cache: Path, status: int, headers: dict[str, str], sentence: str
) -> None:
    hub.refuses["config.json"] = (status, headers)
    done = pull(hub, cache, HF_TOKEN=TOKEN)
    assert sentence in done.stderr and done.returncode == 2 and TOKEN not in done.stderr


def test_a_password_of_a_mirror_is_not_shown(hub: Hub, cache: Path) -> None:
    hub.refuses["api"] = (503, {})
    address = hub.address.replace("//", "//me:geheim@")
    assert "geheim" not in loralab(cache, address, "models", "pull", ID).stderr


def test_a_revision_is_another_snapshot(hub: Hub, cache: Path) -> None:
    hub.branches["v1/old"] = "d" * 40
    place = pull(hub, cache, "--revision", "v1/old").stdout.strip()
    assert place.endswith("d" * 40) and pull(hub, cache).stdout.strip().endswith(COMMIT)
    assert pull(hub, cache, "--revision", "v1/old", HF_HUB_OFFLINE="1").stdout.strip() == place


def test_letter_case_tells_no_models_apart(hub: Hub, cache: Path) -> None:
    """As on the Hub itself; other programs find it under its proper name."""
    place = loralab(cache, hub.address, "models", "pull", ID.upper()).stdout.strip()
    assert "models--owner--name" in place and pull(hub, cache).stdout.strip() == place
    offline = loralab(cache, hub.address, "models", "pull", "Owner/Name", HF_HUB_OFFLINE="1")
    assert offline.stdout.strip() == place


def test_a_renamed_model_comes_by_its_old_name(hub: Hub, cache: Path) -> None:
    done = loralab(cache, hub.address, "models", "pull", OLD_ID, HF_TOKEN=TOKEN)
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == weights()
    assert hub.gets("model.safetensors")[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert loralab(cache, hub.address, "models", "pull", OLD_ID, HF_HUB_OFFLINE="1").stdout == done.stdout


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
def test_the_cache_is_where_the_variables_say(hub: Hub, cache: Path, name: str, tmp_path: Path) -> None:
    done = pull(hub, cache, **{name: "$PLACE/models", "PLACE": str(tmp_path)})
    assert done.stdout.startswith(f"{tmp_path}/models/models--owner--name/")


def test_an_unknown_revision_is_said(hub: Hub, cache: Path) -> None:
    done = pull(hub, cache, "--revision", "nope")
    assert done.returncode == 2 and "has no revision nope" in done.stderr


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {}], ids=["switched off", "no network"])
def test_without_the_hub_the_cache_is_used_or_missed_in_a_sentence(
    hub: Hub, cache: Path, offline: dict[str, str]
) -> None:
    place, nowhere = pull(hub, cache).stdout, "http://127.0.0.1:9"  # nobody listens there
    pull_again = ("models", "pull", ID)
    assert loralab(cache, nowhere, *pull_again, **offline).stdout == place
    missed = loralab(cache.with_name("empty"), nowhere, *pull_again, **offline)
    assert missed.returncode == 1 and "is not in the local cache" in missed.stderr


def test_what_is_here_does_not_wait_long_for_a_silent_hub(hub: Hub, cache: Path) -> None:
    place = pull(hub, cache).stdout
    hub.says_nothing = True
    began = time.monotonic()
    assert pull(hub, cache).stdout == place
    assert time.monotonic() - began < PATIENCE_S


def test_half_a_download_is_no_model_offline(hub: Hub, cache: Path) -> None:
    hub.refuses["model.safetensors"] = (429, {})
    pull(hub, cache)
    assert "is not in the local cache" in pull(hub, cache, HF_HUB_OFFLINE="1").stderr


def test_an_update_that_failed_leaves_the_older_one_for_offline_use(hub: Hub, cache: Path) -> None:
    place = pull(hub, cache).stdout
    hub.branches["main"] = "e" * 40
    hub.files = model_files(200_000)
    hub.refuses["model.safetensors"] = (429, {})
    assert pull(hub, cache).returncode == 1
    assert pull(hub, cache, HF_HUB_OFFLINE="1").stdout == place


def leave(line: socket.socket) -> None:
    """Without an answer."""
    line.shutdown(socket.SHUT_RDWR)


def reset(line: socket.socket) -> None:
    """As a router does that forgot the connection."""
    line.recv(1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(params=[leave, reset])
def dropping_hub(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Hub that drops every line."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    request.param(line)

        threading.Thread(target=drop, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_a_line_that_drops_is_one_sentence(dropping_hub: str, cache: Path) -> None:
    done = loralab(cache, dropping_hub, "models", "pull", ID)
    assert done.stderr.startswith("downloading owner/name failed: ") and done.stderr.endswith("; try again\n")


@pytest.mark.parametrize(("said", "line"), [("", "ValueError"), ("\n", "ValueError"), ("a\nb", "a")])
def test_an_error_without_words_is_named_by_its_kind(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line
