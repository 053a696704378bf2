"""The testing kit itself: the suite finds every planted defect, and no check is vacuous."""

from __future__ import annotations

import inspect
from types import ModuleType

import broken_copy
import broken_directory
import broken_ends
import broken_login
import broken_race
import broken_store
import broken_table
import broken_tail
import pytest
from broken_found_by import FOUND_BY

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.stores.answer import Created, Standing
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import Bench, FakeClock, FaultyStore, check_store, store_checks


def _broken(module: ModuleType) -> dict[str, type[MemoryStore]]:
    own = vars(module).values()
    classes = [cls for cls in own if inspect.isclass(cls) and cls.__module__ == module.__name__]
    stores = {cls.__name__: cls for cls in classes if issubclass(cls, MemoryStore)}
    return {name: cls for name, cls in stores.items() if not name.startswith("_")}


BROKEN = _broken(broken_store) | _broken(broken_table) | _broken(broken_directory)
BROKEN |= _broken(broken_race) | _broken(broken_login) | _broken(broken_ends)
BROKEN |= _broken(broken_copy) | _broken(broken_tail)


@pytest.mark.parametrize("name", BROKEN)
def test_the_suite_finds_a_planted_defect(name: str) -> None:
    cls = BROKEN[name]
    assert FOUND_BY[name]
    for check in FOUND_BY[name]:
        with pytest.raises(AssertionError, match=f"1 of 1 store checks failed:\n  {check}: "):
            check_store(lambda clock: cls(clock=clock), only=[check])


def test_every_check_finds_some_planted_defect() -> None:
    finding = {check for checks in FOUND_BY.values() for check in checks}
    assert {name for name, _ in store_checks()} == finding
    assert FOUND_BY.keys() == BROKEN.keys()


def test_check_store_passes_a_right_store() -> None:
    check_store(lambda clock: MemoryStore(clock=clock), only=["ping_tells_the_time", "revoke_all"])


def test_check_store_names_every_check_that_failed() -> None:
    names = ["ping_tells_the_time", "revoke_all", "revoke_one"]
    with pytest.raises(AssertionError) as failure:
        check_store(lambda clock: broken_table.RevokesNothing(clock=clock), only=names)
    text = str(failure.value)
    assert text.startswith("2 of 3 store checks failed:")
    assert "revoke_all" in text
    assert "revoke_one" in text
    assert "ping" not in text


def test_check_store_refuses_an_unknown_check() -> None:
    with pytest.raises(ValueError, match="no such check: made_up"):
        check_store(lambda clock: MemoryStore(clock=clock), only=["made_up"])


def test_names_of_checks_are_different() -> None:
    names = [name for name, _ in store_checks()]
    assert len(names) == len(set(names))


def test_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    assert clock() == clock() == 1_800_000_000_000
    assert clock.advance(1.5) == 1_800_000_001_500
    assert clock.advance(seconds=-2, ms=3) == clock() == 1_799_999_999_503


@pytest.fixture
def bench() -> Bench:
    return Bench(lambda clock: FaultyStore(MemoryStore(clock=clock)))


@pytest.fixture
def faulty(bench: Bench) -> FaultyStore:
    assert isinstance(bench.store, FaultyStore)
    return bench.store


def test_a_faulty_store_without_faults_keeps_the_contract() -> None:
    names = [name for name, _ in store_checks() if name != "counter_names_are_bounded"]
    check_store(lambda clock: FaultyStore(MemoryStore(clock=clock)), only=names)


def test_a_fault_before_has_no_effect(bench: Bench, faulty: FaultyStore) -> None:
    new = bench.new()
    faulty.fail("create")
    with pytest.raises(StoreUnavailable):
        run_sync(faulty.create(new))
    assert run_sync(bench.load(new)).standing is Standing.UNKNOWN
    assert isinstance(run_sync(faulty.create(new)), Created)


def test_a_fault_after_took_effect(bench: Bench, faulty: FaultyStore) -> None:
    new = bench.new()
    faulty.fail("create", when="after")
    with pytest.raises(StoreUnavailable):
        run_sync(faulty.create(new))
    assert run_sync(bench.lives(new))
    assert faulty.calls == ["create", "load"]


def test_faults_are_counted_and_may_be_of_any_call(bench: Bench, faulty: FaultyStore) -> None:
    faulty.fail(times=2, error=StoreCorrupt("made up"))
    for call in (faulty.ping, faulty.sweep):
        with pytest.raises(StoreCorrupt):
            run_sync(call())
    assert run_sync(faulty.ping()) == bench.clock()


def test_a_store_that_is_down_stays_down_until_it_is_healed(faulty: FaultyStore) -> None:
    faulty.go_down()
    faulty.fail("ping")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            run_sync(faulty.ping())
    faulty.heal()
    assert run_sync(faulty.ping()) > 0


def test_a_fault_of_an_unknown_method_is_refused(faulty: FaultyStore) -> None:
    with pytest.raises(ValueError, match=r"'sweeep' is no method of a store: use .* sweep"):
        faulty.fail("sweeep")


def test_a_faulty_store_is_a_store_with_the_same_signatures(faulty: FaultyStore) -> None:
    assert isinstance(faulty, Store)
    for name in Store.__abstractmethods__:
        expected = inspect.signature(getattr(Store, name))
        assert inspect.signature(getattr(FaultyStore, name)) == expected
