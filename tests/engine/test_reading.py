"""While the model is read: what needs none is answered, and whoever waits for it may think again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loralab_core.errors import LoraLabError
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import read
from loralab_core.wire.client import Client
from loralab_core.wire.launch import ensure_engine
from loralab_core.wire.messages import (
    Attach,
    Cancel,
    Done,
    EngineStatus,
    Failed,
    Load,
    Loading,
    Message,
    Pause,
    Resume,
    Shutdown,
    Started,
    Status,
    Stop,
    Train,
)
from loralab_core.wire.registry import list_engines
from tests.engine.driving import PATIENCE_S, ask, ending_of, is_gone, listen, question, wait_until
from tests.engine.slow_models import slow_to_read

pytestmark = pytest.mark.xdist_group("engine")


@pytest.fixture(scope="module")
def model(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slow_to_read(fixtures_dir, tmp_path_factory.mktemp("slow") / "model")


@pytest.fixture
def client(model: Path) -> Iterator[Client]:
    """Connected to an engine of its own, whose model takes a second to read."""
    with Client(ensure_engine(str(model), "fp32", "cpu")) as client:
        yield client


def heard_until(client: Client, id: int) -> list[Message]:
    """Everything said up to the answer to request `id`, that included."""
    heard: list[Message] = []
    while not heard or getattr(heard[-1], "id", None) != id:
        response = client.receive(PATIENCE_S)
        assert response is not None, "no answer"
        heard.append(response)
    return heard


def status(client: Client) -> EngineStatus:
    reply = client.ask(Status(id=client.next_id()))
    assert isinstance(reply, EngineStatus)
    return reply


def load(client: Client) -> int:
    number = client.next_id()
    client.send(Load(id=number))
    return number


def load_and_see_it_begin(client: Client) -> int:
    """What is taken back in the same turn was never begun, and then nothing ends."""
    number = load(client)
    while not isinstance(said := client.receive(PATIENCE_S), Loading):
        assert said is not None, "the reading never began"
    return number


def start_run(client: Client, fixtures: Path) -> RunDirectory:
    corpus = str(fixtures / "corpora" / "the-verdict.txt")
    config = {"model": status(client).model, "corpus": [corpus], "base": "fp32", "device": "cpu"}
    config |= {"steps": 1, "batch": 1, "seq_len": 8, "val": 0, "rank": 1}
    started = client.ask(Train(id=client.next_id(), config=config))
    assert isinstance(started, Started)
    return RunDirectory(Path(started.run))


def test_the_model_is_read_when_asked_for(client: Client) -> None:
    before = status(client)
    assert not before.loaded and before.context == 512 and before.chat_template == "plain" and before.parameters
    *progress, reply = heard_until(client, load(client))
    assert isinstance(reply, EngineStatus) and reply.loaded and reply.parameters == before.parameters
    told = [message for message in progress if isinstance(message, Loading)]
    assert len(told) > 2 and told[0].what == "reading the model" and told[-1].done == told[-1].total
    assert [one.done for one in told] == sorted(one.done for one in told)
    (again,) = heard_until(client, load(client))  # there is nothing left to read
    assert isinstance(again, EngineStatus) and again.loaded


def test_reading_that_is_cancelled_leaves_nothing_and_can_be_asked_for_again(client: Client) -> None:
    number = load_and_see_it_begin(client)
    client.send(Cancel(id=client.next_id(), target=number))
    refused = ended = False
    while not (refused and ended):  # in either order: the reader ends in a thread of its own
        response = client.receive(PATIENCE_S)
        assert response is not None, "neither was said"
        ended = ended or (isinstance(response, Loading) and response.total == 0)
        refused = refused or (isinstance(response, Failed) and response.id == number)
        assert not isinstance(response, Failed) or response.sentence == "reading the model was cancelled"
    assert not status(client).loaded
    again = client.ask(Load(id=client.next_id()))
    assert isinstance(again, EngineStatus) and again.loaded


def test_a_reading_that_somebody_else_waits_for_goes_on(client: Client) -> None:
    asked, number = question(client, "Once", speaker="base", tokens=1), load(client)
    client.send(asked)
    client.send(Cancel(id=client.next_id(), target=number))
    with pytest.raises(LoraLabError, match="cancelled"):
        client.wait_for(number)
    ended = listen(client, asked.id).ended
    assert ended and ended.new_tokens == 1 and status(client).loaded


def test_a_question_is_taken_back_before_the_model_is_there(client: Client) -> None:
    asked = question(client, "Once", speaker="base")
    client.send(asked)
    assert status(client).queued == 1
    client.send(Cancel(id=client.next_id(), target=asked.id))
    ended = listen(client, asked.id).ended
    assert ended and ended.finish == "cancelled" and not status(client).loaded
    again = ask(client, "Once", speaker="base", tokens=1).ended
    assert again and again.new_tokens == 1


def test_a_run_is_stopped_before_its_model_is_there(client: Client, fixtures_dir: Path) -> None:
    run = start_run(client, fixtures_dir)
    assert status(client).run == str(run.path)
    for request in (Attach, Pause, Stop):
        assert isinstance(client.ask(request(id=client.next_id(), run=str(run.path))), Done)
    now = status(client)
    assert not now.loaded and now.run is None and not now.paused
    assert [event["event"] for event in read(run.events_path)] == ["stopped"] and not run.owner_path.exists()
    again = start_run(client, fixtures_dir)
    wait_until(lambda: ending_of(again), "the end of a run after it")
    assert (end := ending_of(again)) and end["event"] == "done"


def test_a_run_taken_back_before_its_model_is_there_keeps_what_it_has(client: Client, fixtures_dir: Path) -> None:
    run = start_run(client, fixtures_dir)
    wait_until(lambda: ending_of(run), "its end")
    made = read(run.events_path)[-1]
    assert made["event"] == "done" and made["steps"] == 1
    client.ask(Shutdown(id=client.next_id()))
    wait_until(lambda: not list_engines(), "the engine's end")
    with Client(ensure_engine(run.record().config["model"], "fp32", "cpu")) as again:
        for request in (Resume, Stop):
            again.ask(request(id=again.next_id(), run=str(run.path)))
    last = read(run.events_path)[-1]
    assert last["event"] == "stopped" and all(last[key] == made[key] for key in ("steps", "tokens", "adapter"))


def test_told_to_end_while_the_model_is_read(client: Client, fixtures_dir: Path) -> None:
    run, pid = start_run(client, fixtures_dir), status(client).pid
    client.ask(Shutdown(id=client.next_id()))
    assert (end := ending_of(run)) and end["event"] == "stopped" and end["steps"] == 0
    wait_until(lambda: is_gone(pid), "the engine's end")


def test_a_model_that_cannot_be_read_is_refused_to_everyone_and_read_once_it_can(client: Client) -> None:
    file = Path(status(client).model) / "model.safetensors"
    hidden = file.rename(file.with_suffix(".hidden"))
    asked, number = question(client, "Once", speaker="base", tokens=1), load(client)
    client.send(asked)
    for one in (number, asked.id):
        with pytest.raises(LoraLabError, match=r"no model\.safetensors"):
            client.wait_for(one)
    hidden.rename(file)
    reply = client.ask(Load(id=client.next_id()))
    assert isinstance(reply, EngineStatus) and reply.loaded
