"""The store that measures keeps the contract, and hides nothing of the one inside."""

from __future__ import annotations

import asyncio
import copy
import inspect
from typing import Any

import pytest

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreMismatch, StoreUnavailable
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.telemetry.base import Telemetry
from gatehound.telemetry.meters import Meters
from gatehound.telemetry.metric import OPERATION, Metric, Values
from gatehound.telemetry.store import WAITING, MeasuredStore
from gatehound.testing import Check, FaultyStore, run_check, store_checks


class Heard(Telemetry):
    """Keeps what it is told of operations."""

    def __init__(self) -> None:
        self.told: list[Values] = []
        self.took: list[float] = []

    def observe(self, metric: Metric, values: Values, amount: float) -> None:
        assert metric is OPERATION
        self.told.append(values)
        self.took.append(amount)


def measured(store: Store) -> tuple[MeasuredStore, Heard]:
    heard = Heard()
    return MeasuredStore(store, Meters([heard])), heard


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(one, id=name, marks=[pytest.mark.slow] if name.startswith("race_") else [])
        for name, one in store_checks()
    ],
)
def test_the_contract_is_kept(check: Check) -> None:
    run_check(lambda clock: MeasuredStore(MemoryStore(clock=clock), Meters([Heard()])), check)


def test_every_method_of_the_contract_is_measured() -> None:
    """Made from the contract itself, so that none is forgotten."""
    mine = {name for name, one in vars(Store).items() if inspect.isfunction(one)}
    made = {name for name in mine if getattr(MeasuredStore, name) is not getattr(Store, name)}
    assert made == mine
    assert mine >= WAITING
    assert not MeasuredStore.__abstractmethods__
    for name in mine:
        theirs = inspect.signature(getattr(Store, name))
        assert inspect.signature(getattr(MeasuredStore, name)) == theirs


def test_it_is_of_the_kind_that_it_measures() -> None:
    inner = FaultyStore(MemoryStore())
    inner.suspends, inner.tells = True, True
    store, _ = measured(inner)
    assert (store.kind, store.suspends, store.tells) == ("faulty", True, True)
    assert store.calls is inner.calls  # what it has beyond the contract
    with pytest.raises(AttributeError, match="no_such_thing"):
        store.no_such_thing  # noqa: B018 - the look-up is what is tested
    assert copy.copy(store).measured is inner


OUTCOMES: list[tuple[BaseException | None, str]] = [
    (None, "ok"),
    (StoreUnavailable("x"), "unavailable"),
    (StoreCorrupt("x"), "corrupt"),
    (StoreMismatch("x"), "failed"),
    (ValueError("x"), "failed"),
    (asyncio.CancelledError(), "cancelled"),
    (KeyboardInterrupt(), "cancelled"),
]


@pytest.mark.parametrize(("error", "word"), OUTCOMES, ids=lambda one: repr(one))
def test_what_came_of_it_is_one_word(error: BaseException | None, word: str) -> None:
    class Failing(MemoryStore):
        async def ping(self) -> int:
            if error is not None:
                raise error
            return 1

    store, heard = measured(Failing())
    if error is None:
        assert run_sync(store.ping()) == 1
    else:
        with pytest.raises(type(error)) as caught:
            run_sync(store.ping())
        assert caught.value is error
    assert heard.told == [("memory", "ping", word)]
    assert heard.took[0] >= 0


def test_a_wrong_call_fails_as_without_it() -> None:
    store, heard = measured(MemoryStore())
    call: Any = store.epoch
    with pytest.raises(TypeError):
        run_sync(call())
    assert heard.told == [("memory", "epoch", "failed")]


def test_waiting_for_an_end_is_no_operation() -> None:
    store, heard = measured(MemoryStore())
    assert run_sync(store.ends("", wait=1.0)).sids == ()
    assert heard.told == []
