"""Recording on a GPU, with torch's graphs stood in for: which memory they share, and what is left when one fails."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch

from loralab_core.ops import graphs
from loralab_core.ops.graphs import CannotRecord, CudaGraphs


class Graph:
    """As CUDAGraph: a pool of its own, unless it is told another's."""

    def __init__(self) -> None:
        self.own: object = object()

    def pool(self) -> object:
        return self.own

    def replay(self) -> None:
        pass


class Driver:
    def __init__(self) -> None:
        self.stream, self.pools, self.end_fails = "usual", list[Any](), False


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()

    @contextmanager
    def graph(one: Graph, pool: object, **how: str) -> Iterator[None]:
        found.pools.append(pool)
        found.stream, one.own = "recording", pool or one.own
        try:
            yield
        finally:  # as torch has it: the stream is given back behind the end of the recording, unless that fails
            if found.end_fails:
                raise RuntimeError("capture was invalidated")
            found.stream = "usual"

    def use(stream: str) -> None:
        found.stream = stream

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: found.stream)
    monkeypatch.setattr(torch.cuda, "set_stream", use)
    monkeypatch.setattr(graphs, "give_back", lambda device, error: None)
    return found


def recorder() -> CudaGraphs:
    return CudaGraphs(torch.device("cuda", 0))


def test_graphs_that_are_there_share_their_memory(driver: Driver) -> None:
    record = recorder()
    replays = [record(lambda: None) for _ in range(3)]
    first, *others = driver.pools
    assert first is None and len(replays) == 3
    assert others == [replays[0].__self__.pool()] * 2  # type: ignore[attr-defined]


def test_memory_that_went_with_its_graphs_is_not_asked_for(driver: Driver) -> None:
    """The allocator knows it no more, or holds what is left of it and refuses."""
    record = recorder()
    replay = record(lambda: None)
    del replay
    record(lambda: None)
    assert driver.pools == [None, None]


@pytest.mark.parametrize("end_fails", [False, True])
def test_work_that_breaks_a_rule_says_which_and_leaves_the_usual_stream(driver: Driver, end_fails: bool) -> None:
    def work() -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    driver.end_fails = end_fails
    record = recorder()
    with pytest.raises(CannotRecord, match="^operation not permitted when stream is capturing$"):
        record(work)
    assert driver.stream == "usual"
    driver.end_fails = False
    record(lambda: None)
    assert driver.pools == [None, None]
