"""A row that is asked for again: what is told as before is as before, whoever wrote in between.

Oracle: all columns of the row, read by a connection of the test.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import pytest
from sqlite_kit import bench_at, error_of, in_child, query

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt
from gatehound.model import EndReason
from gatehound.stores.answer import Before, Memory, NewSession, Standing
from gatehound.stores.record import Record, Security, Seen
from gatehound.stores.sqlite import SQLiteStore, life, pause
from gatehound.stores.sqlite.again import Loader, Look
from gatehound.stores.sqlite.ending import stored
from gatehound.stores.sqlite.row import Tx, write_session
from gatehound.testing import Bench

MINUTE = 60_000


def quick_of(bench: Bench) -> Loader:
    quick: Any = bench.store.quick
    assert isinstance(quick, Loader)
    return quick


def told(quick: Loader, question: Look, touch: int | None = None) -> int | None:
    """Ask as an adapter does; None where it has to be asked otherwise."""
    asked = quick.ask(question, touch)
    if asked is None:
        return None
    return quick.told(question, asked[1])


def question_of(bench: Bench, new: NewSession) -> Look:
    return quick_of(bench).question(new.alias, new.sid, new.secret_hash)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["waits", "suspends"])
def benches(path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Bench, Bench]]:
    """Two stores of one file; in this thread both may wait."""
    pair = bench_at(path, suspends=request.param), bench_at(path)
    yield pair
    for bench in pair:
        closing_it = bench.store.close()
        asyncio.run(closing_it) if bench.store.suspends else run_sync(closing_it)


def columns(path: Path) -> list[Any]:
    names = [row[1] for row in query(path, "PRAGMA table_info(sessions)") if row[1] != "rev"]
    return query(path, f"SELECT {', '.join(names)} FROM sessions ORDER BY alias, sid")  # noqa: S608 - its own names


Write = Callable[[SQLiteStore, NewSession, random.Random], Any]
WRITES: dict[str, Write] = {
    "nothing": lambda store, new, pick: store.epoch(new.alias),
    "touch": lambda store, new, pick: store.load(*who(new), touch=pick.choice((0, 1))),
    "flags": lambda store, new, pick: store.remember(
        *who(new), set_flags=pick.choice((0, 4)), clear_flags=pick.choice((0, 4))
    ),
    "seen": lambda store, new, pick: store.remember(
        *who(new), seen=Seen(1, pick.randbytes(4), "NO", 1, b"agent!", (b"pair-1", b""))
    ),
    "memory": lambda store, new, pick: store.remember(*who(new), memory=Memory(b"m", 0)),
    "data": lambda store, new, pick: store.data_set(new.alias, new.sid, {"a": b"1"}),
    "rotate": lambda store, new, pick: store.rotate(*who(new), pick.randbytes(16), grace=10_000),
    "login": lambda store, new, pick: store.create(
        NewSession(**{**fields(new), "sid": pick.randbytes(8), "roles": ("admin",)})
    ),
    "end": lambda store, new, pick: store.revoke(new.alias, only=new.sid, reason=EndReason.ADMIN),
    "everyone": lambda store, new, pick: store.revoke_everyone(),
}


def who(new: NewSession) -> tuple[bytes, bytes, bytes]:
    return new.alias, new.sid, new.secret_hash


def fields(new: NewSession) -> dict[str, Any]:
    return {name: getattr(new, name) for name in new.__struct_fields__}


@pytest.mark.parametrize("seed", range(12))
def test_it_is_told_where_nothing_was_written(
    benches: tuple[Bench, Bench], path: Path, seed: int
) -> None:
    pick = random.Random(seed)
    ours, theirs = benches
    news = [run_sync(theirs.login()) for _ in range(2)]
    for name in pick.choices(list(WRITES), k=12):
        questions = [question_of(ours, new) for new in news]
        before = columns(path)
        for bench in benches:
            bench.clock.advance(1)
        changed, store = pick.choice(news), theirs.store
        assert isinstance(store, SQLiteStore)
        run_sync(WRITES[name](store, changed, pick))
        after = columns(path)
        for new, question in zip(news, questions, strict=True):
            rows = [[row for row in all_ if row[1] == new.sid] for all_ in (before, after)]
            is_same = rows[0] == rows[1]
            answer = told(quick_of(ours), question)
            if question.record is None:
                assert answer is None
            elif rows[1] or is_same:
                assert bool(answer) == is_same, name
            else:
                assert answer == 0, name


def test_what_is_written_by_hand_is_seen(benches: tuple[Bench, Bench], path: Path) -> None:
    new = run_sync(benches[1].login())
    names = [row[1] for row in query(path, "PRAGMA table_info(sessions)")]
    for name in names:
        question = question_of(benches[0], new)
        assert told(quick_of(benches[0]), question)
        query(path, f"UPDATE sessions SET {name} = {name}")  # noqa: S608 - a name of its own
        assert told(quick_of(benches[0]), question) == 0


def test_it_goes_on_as_load_answers(benches: tuple[Bench, Bench]) -> None:
    ours, theirs = benches
    new = run_sync(theirs.login())
    quick, question = quick_of(ours), question_of(ours, new)

    async def ask() -> tuple[Any, Any]:
        asked = quick.ask(question, None)
        assert asked is not None
        return asked, await quick.go_on(question, asked, None)

    run = asyncio.run if ours.store.suspends else run_sync
    assert run(ask())[1].record == question.record
    run_sync(theirs.store.revoke(new.alias, reason=EndReason.ADMIN))
    (_, replies), answer = run(ask())
    assert quick.told(question, replies) == 0
    assert answer.standing is Standing.ENDED


def test_what_takes_more_is_left_to_load(benches: tuple[Bench, Bench], path: Path) -> None:
    ours, theirs = benches
    new = run_sync(theirs.login())
    quick, question = quick_of(ours), question_of(ours, new)
    assert told(quick, question, MINUTE)
    assert quick.ask(question, 0) is None
    ours.clock.advance(60)
    assert quick.ask(question, MINUTE) is None  # a touch is due
    assert told(quick, question)
    store: Any = ours.store
    store._link._watched -= 1
    assert quick.ask(question, None) is None  # the file is to be watched
    assert quick.question(*who(new)).record == question.record
    assert told(quick, question)
    (handle,) = store._link.handles.values()
    handle.close()
    assert told(quick, question) == 0  # closed, as a fork does: `load` opens it
    store._link.handles.clear()
    assert quick.ask(question, None) is None


def test_a_session_of_another_secret_or_a_new_one_has_no_record(
    benches: tuple[Bench, Bench],
) -> None:
    ours, theirs = benches
    new = run_sync(theirs.login())
    assert quick_of(ours).question(new.alias, new.sid, b"?" * 16).record is None
    assert quick_of(ours).question(b"z" * 12, new.sid, new.secret_hash).record is None
    run_sync(theirs.store.rotate(*who(new), b"n" * 16, grace=10_000))
    after = quick_of(ours).question(new.alias, new.sid, b"n" * 16)
    assert after.record is None, "that it was presented has to be written"


@pytest.mark.parametrize("error", [error_of(sqlite3.SQLITE_BUSY), error_of(sqlite3.SQLITE_IOERR)])
def test_an_error_is_left_to_load(
    benches: tuple[Bench, Bench], monkeypatch: pytest.MonkeyPatch, error: sqlite3.Error
) -> None:
    ours, theirs = benches
    new = run_sync(theirs.login())
    quick, question = quick_of(ours), question_of(ours, new)
    store: Any = ours.store
    (handle,) = store._link.handles.values()

    class Failing:
        def execute(self, *given: Any) -> Any:
            raise error

    real, handle.db = handle.db, Failing()
    assert quick.ask(question, None) is None
    handle.db = real
    assert told(quick, question)

    def fail(*given: Any) -> Any:
        raise error

    monkeypatch.setattr(life, "ordinary", fail)
    assert quick.question(*who(new)).record is None


def test_a_fork_asks_a_connection_of_its_own(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    quick, question = quick_of(bench), question_of(bench, new)

    def work() -> str:
        first = quick.ask(question, None)
        again = question_of(bench, new)
        return f"{first} {bool(told(quick, again))} {bool(told(quick, question))}"

    assert in_child(work) == "None True True"
    question = question_of(bench, new)
    assert told(quick, question)
    run_sync(bench.store.close())


def test_a_store_with_another_load_is_asked_by_that(path: Path) -> None:
    class Own(SQLiteStore):
        def load(self, *args: Any, **options: Any) -> Any:
            return super().load(*args, **options)

    assert Own(path).quick is None


# --- a row ---

ALIAS, SID = b"[1,2]\0\xff,\"'%s", b"]%s'\"\0\xff,"
RECORD = Record(
    ALIAS, "anna", ("é",), Security(SID, b"s" * 16, 1, 2, 3, 4), Seen(5, b"\x7f\0\0\1", "NO", 6)
)
NUMBERS = (
    *("created", "authenticated", "expires", "idle", "flags", "aal", "methods", "rotated"),
    *("last_seen", "place", "confirmed", "whose", "grace", "rev"),
)
BLOBS = ("secret", "agent", "address", "pair1", "pair2", "user_id", "previous")
WRONG = [
    *((name, value) for name in NUMBERS for value in ("'x'", "x'31'", "1.5", "1e300")),
    *((name, value) for name in BLOBS for value in ("'text of 16 bytes'", "17")),
    *((name, value) for name in ("country", "roles") for value in ("x'5B5D'",)),
    ("roles", "'no JSON'"),
    ("roles", "'5'"),
    ("whose", "whose + 1"),
]


@pytest.mark.parametrize(("column", "value"), WRONG)
def test_what_no_release_wrote_is_not_read(path: Path, column: str, value: str) -> None:
    run_sync(SQLiteStore(path).ping())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        write_session(Tx(db, 0), RECORD, Before(b"q" * 16, 1, 0, 9))
        assert stored(Tx(db, 0), ALIAS, SID) is not None
        assert stored(Tx(db, 0), b"z" * 12, SID) is None
        db.execute("DROP TRIGGER sessions_written")
        db.execute(f"UPDATE sessions SET {column} = {value}")  # noqa: S608 - of the table above
        with pytest.raises(StoreCorrupt, match="a row of the table sessions cannot be read"):
            stored(Tx(db, 0), ALIAS, SID)


def test_what_is_not_there_is_so_where_nothing_can_be_written(path: Path) -> None:
    run_sync(SQLiteStore(path).ping())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert life.judge(Tx(db, 0), ALIAS, SID, b"s" * 16).standing is Standing.UNKNOWN


# --- who waits ---


def test_a_load_that_meets_a_lock_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    real, tries = life.look, [0]

    def busy_twice(*given: Any) -> Any:
        tries[0] += 1
        if tries[0] < 3:
            raise error_of(sqlite3.SQLITE_BUSY)
        return real(*given)

    monkeypatch.setattr(life, "look", busy_twice)
    assert run_sync(bench.load(new)).standing is Standing.LIVE
    assert tries == [3]
    run_sync(bench.store.close())


def test_pauses_begin_with_none_and_end_at_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pause, "monotonic", lambda: now[0])
    waits = pause.pauses()
    assert [next(waits) for _ in range(3)] == [0.0] * 3
    now[0] = pause.SPIN
    later = list(islice(waits, 40))
    assert later[0] == pause.SHORT
    assert later == sorted(later)
    assert later[-1] == pause.LONG


def test_one_thread_tries_and_the_others_wait_for_their_turn() -> None:
    turn = Lock()
    first = pause.in_turn(turn, monotonic() + 9)
    assert next(first) == 0.0
    late = pause.in_turn(turn, monotonic())
    next(late)  # its time is over: its call ends, and takes no turn from anybody
    late.close()
    assert turn.locked()
    first.close()
    assert not turn.locked()
