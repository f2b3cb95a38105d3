"""Micro-batches: who meets whom, who goes first, and who alone pays for an item that breaks the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.domain.errors import Busy, Fault, Unavailable
from models.runtime import batcher as batching
from models.runtime.batcher import Batcher, Limits

LONG = 60.0  # seconds that no test waits for


class Gate:
    """A model that doubles, remembers its batches, and can be held while the queue fills."""

    def __init__(self, poison: Callable[[Sequence[int]], bool] = lambda batch: False) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.entered = threading.Event()
        self._poison = poison

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.entered.set()
        assert self.open.wait(LONG)
        self.batches.append(list(batch))
        if self._poison(batch):
            raise ValueError("kernel")
        return [2 * item for item in batch]


def filled(gate: Gate, items: Sequence[tuple[int, bool, str]], most: int = 8) -> list[Future[int]]:
    """The items' futures; all are queued before the owner is free, behind a first item 0."""
    made: Batcher[int, int] = Batcher(gate, Limits(most, LONG), "test")
    first = made.enqueue(0, "a", urgent=False)
    assert gate.entered.wait(LONG)
    futures = [made.enqueue(item, group, urgent=urgent) for item, urgent, group in items]
    gate.open.set()
    assert first.result(LONG) == 0
    made.close()
    return futures


def test_items_of_many_callers_run_together_and_each_gets_its_own() -> None:
    """Two hundred items of sixteen threads need far fewer runs, and no answer goes to another caller."""
    gate = Gate()
    made: Batcher[int, int] = Batcher(gate, Limits(16, 0.01), "test")
    gate.open.set()

    def task(number: int) -> bool:
        with made.feeding() as feeder:
            sent = [(item, feeder.submit(item)) for item in range(number * 100, number * 100 + 13)]
            return all(feeder.wait(future) == 2 * item for item, future in sent)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(task, range(16)))
    assert sum(map(len, gate.batches)) == 16 * 13
    assert len(gate.batches) < 16 * 13
    made.close()


def test_a_batch_is_full_or_waits_no_longer_than_somebody_prepares() -> None:
    """With nobody feeding, one item runs at once although its company could have been waited for a minute."""
    gate = Gate()
    gate.open.set()
    made: Batcher[int, int] = Batcher(gate, Limits(8, LONG), "test")
    with made.feeding() as feeder:
        assert feeder.wait(feeder.submit(3)) == 6
    assert gate.batches == [[3]]
    made.close()


def test_urgent_items_go_first_and_shapes_do_not_mix() -> None:
    """The urgent item's batch runs first; it takes routine items of its own shape along and no others."""
    gate = Gate()
    filled(gate, [(1, False, "a"), (2, False, "b"), (3, True, "b"), (4, False, "b"), (5, False, "a")])
    assert gate.batches == [[0], [3, 2, 4], [1, 5]]


def test_a_batch_never_exceeds_its_limit() -> None:
    """Ten waiting items run as four, four and two."""
    gate = Gate()
    filled(gate, [(item, False, "a") for item in range(1, 11)], most=4)
    assert [len(batch) for batch in gate.batches] == [1, 4, 4, 2]


def test_only_the_poison_item_fails() -> None:
    """Seven of eight are answered; the eighth alone gets the fault."""
    gate = Gate(lambda batch: 5 in batch)
    futures = filled(gate, [(item, False, "a") for item in range(1, 9)])
    for item, future in enumerate(futures, 1):
        if item == 5:
            with pytest.raises(Fault, match="ValueError"):
                future.result(0)
        else:
            assert future.result(0) == 2 * item


def test_a_batch_that_is_too_large_for_the_device_makes_later_ones_smaller() -> None:
    """Where the halves succeed no item is to blame, and the limit becomes what did fit."""
    gate = Gate(lambda batch: len(batch) > 2)
    gate.open.set()
    made: Batcher[int, int] = Batcher(gate, Limits(8, LONG), "test")
    with made.feeding() as feeder:
        futures = [feeder.submit(item) for item in range(8)]
        assert [feeder.wait(future) for future in futures] == [2 * item for item in range(8)]
        assert made.most == 2
    made.close()


def test_a_limit_that_was_lowered_is_raised_again_after_many_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run that failed for a reason that passes does not cost the batches of a worker's whole life."""
    monkeypatch.setattr(batching, "SOUND", 3)
    failures = iter([True])
    gate = Gate(lambda batch: next(failures, False))
    gate.open.set()
    made: Batcher[int, int] = Batcher(gate, Limits(4, LONG), "test")
    seen = []
    with made.feeding() as feeder:
        for _ in range(8):
            futures = [feeder.submit(item) for item in range(made.most)]
            assert [feeder.wait(future) for future in futures] == [2 * item for item in range(len(futures))]
            seen.append(made.most)
    assert seen == [2, 2, 2, 4, 4, 4, 4, 4]
    made.close()


def test_an_urgent_item_needs_no_place_in_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred routine items fill the queue to its end; the urgent one is in it at once, and is the next to run."""
    monkeypatch.setattr(batching, "PATIENCE", 0.01)
    gate = Gate()
    made: Batcher[int, int] = Batcher(gate, Limits(1, 0.0, capacity=200), "test")
    made.enqueue(0, None, urgent=False)
    assert gate.entered.wait(LONG)
    for item in range(1, 201):
        made.enqueue(item, None, urgent=False)
    with pytest.raises(Busy):
        made.enqueue(201, None, urgent=False)
    urgent = made.enqueue(999, None, urgent=True)
    gate.open.set()
    assert urgent.result(LONG) == 2 * 999
    made.close()
    assert gate.batches[:2] == [[0], [999]]


def test_a_full_queue_holds_the_caller_back_and_then_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded: who finds no place in time is told that it is busy."""
    monkeypatch.setattr(batching, "PATIENCE", 0.01)
    gate = Gate()
    made: Batcher[int, int] = Batcher(gate, Limits(1, 0.0, capacity=2), "test")
    made.enqueue(0, None, urgent=False)
    assert gate.entered.wait(LONG)
    for item in (1, 2):
        made.enqueue(item, None, urgent=False)
    with pytest.raises(Busy):
        made.enqueue(3, None, urgent=False)
    gate.open.set()
    made.close()


def test_putting_a_model_away_answers_what_waits_and_takes_nothing_more() -> None:
    """Close ends with every future done; the next item is refused."""
    gate = Gate()
    made: Batcher[int, int] = Batcher(gate, Limits(1), "test")
    futures = [made.enqueue(item, None, urgent=False) for item in range(5)]
    gate.open.set()
    made.close()
    assert [future.result(0) for future in futures] == [0, 2, 4, 6, 8]
    with pytest.raises(Unavailable):
        made.enqueue(9, None, urgent=False)
