"""The models of one process: loaded within the device's memory, never taken from who uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from gateway.domain.errors import Busy, Fault, Missing, Unsupported
from workers import shelf as shelves
from workers.shelf import Shelf


class Model:
    """Knows whether it is open; `events` tells the order of what happened to all."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events, self.open = name, events, True
        events.append(f"load {name}")

    def close(self) -> None:
        self.open = False
        self.events.append(f"close {self.name}")


@pytest.fixture
def events() -> list[str]:
    return []


def maker(name: str, events: list[str]) -> Callable[[], Model]:
    return lambda: Model(name, events)


def test_the_least_recently_used_model_makes_room(events: list[str]) -> None:
    """Of two loaded models the one that was used last stays when a third needs the room."""
    shelf: Shelf[Model] = Shelf(100)
    for name in "ab":
        shelf.admit(name, 50, maker(name, events))
    with shelf.use("a"):
        pass
    shelf.admit("c", 50, maker("c", events))
    assert shelf.loaded() == {"a", "c"}
    assert events == ["load a", "load b", "close b", "load c"]


def test_a_model_that_was_put_away_is_loaded_when_it_is_asked_for(events: list[str]) -> None:
    """Being put away is not being forgotten."""
    shelf: Shelf[Model] = Shelf(50)
    for name in "ab":
        shelf.admit(name, 50, maker(name, events))
    with shelf.use("a") as model:
        assert (model.name, model.open) == ("a", True)
    assert events == ["load a", "close a", "load b", "close b", "load a"]


def test_the_new_version_is_loaded_before_the_old_one_goes_where_both_fit(events: list[str]) -> None:
    """There is no moment at which neither serves; a task planned for the old one still finds it."""
    shelf: Shelf[Model] = Shelf(100)
    shelf.admit("v1", 50, maker("v1", events))
    with shelf.use("v1") as old:
        shelf.admit("v2", 50, maker("v2", events))
        shelf.keep({"v2"})
        assert old.open
    assert not old.open
    assert events == ["load v1", "load v2", "close v1"]
    with shelf.use("v1") as again:
        assert again.open
    assert not again.open


def test_a_model_in_use_is_never_put_away(events: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who needs memory that others are using waits, and is told that it is busy, while they go on."""
    monkeypatch.setattr(shelves, "PATIENCE", 0.01)
    shelf: Shelf[Model] = Shelf(50)
    shelf.admit("a", 50, maker("a", events))
    with shelf.use("a") as model:
        with pytest.raises(Busy):
            shelf.admit("b", 50, maker("b", events))
        assert model.open
    assert shelf.known() == {"a"}


def test_who_waits_for_memory_gets_it_when_the_user_has_gone(events: list[str]) -> None:
    """The wait ends with the other task, not with a time."""
    shelf: Shelf[Model] = Shelf(50)
    for name in "ba":
        shelf.admit(name, 50, maker(name, events))
    got = threading.Event()

    def other() -> None:
        with shelf.use("b"):
            got.set()

    with shelf.use("a"):
        waiting = threading.Thread(target=other)
        waiting.start()
        assert not got.is_set()
    waiting.join(30)
    assert got.is_set()


def test_a_model_is_loaded_once_for_many_that_ask(events: list[str]) -> None:
    """Eight tasks that ask at the same time share one load."""
    shelf: Shelf[Model] = Shelf(50)
    for name in "ab":
        shelf.admit(name, 50, maker(name, events))
    ready = threading.Barrier(8)
    seen: list[Model] = []

    def task() -> None:
        with shelf.use("a") as model:
            ready.wait(30)
            seen.append(model)

    tasks = [threading.Thread(target=task) for _ in range(8)]
    for one in tasks:
        one.start()
    for one in tasks:
        one.join(30)
    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1


def test_what_cannot_be_loaded_changes_nothing(events: list[str]) -> None:
    """A model too large for the device is refused by both numbers; one that fails to load leaves its memory free."""
    shelf: Shelf[Model] = Shelf(100)
    shelf.admit("a", 50, maker("a", events))
    with pytest.raises(Unsupported, match=r"101 MiB.*100 MiB"):
        shelf.admit("large", 101, maker("large", events))

    def broken() -> Model:
        raise Fault("golden")

    for _ in range(3):
        with pytest.raises(Fault):
            shelf.admit("a", 50, broken)
    with shelf.use("a") as model:
        assert model.open
    with pytest.raises(Missing), shelf.use("large"):
        pass


def test_warming_puts_nothing_away(events: list[str]) -> None:
    """A model is loaded ahead of its tasks only into memory that is free."""
    shelf: Shelf[Model] = Shelf(100)
    for name in "abc":
        shelf.admit(name, 50, maker(name, events))
    assert shelf.loaded() == {"b", "c"}
    assert not shelf.warm("a")
    shelf.rest("b")
    assert shelf.warm("a")


def test_without_a_budget_everything_stays(events: list[str]) -> None:
    """On a CPU nothing is put away."""
    shelf: Shelf[Model] = Shelf()
    with ExitStack() as held:
        for name in map(str, range(20)):
            shelf.admit(name, 1 << 20, maker(name, events))
            held.enter_context(shelf.use(name))
    assert len(shelf.loaded()) == 20
