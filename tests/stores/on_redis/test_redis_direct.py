"""The blocking short way: each thread has a line to itself, and whoever finds none takes turns."""

from __future__ import annotations

import os
import random
import select
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import pytest
import redis
from hot_kit import ECHO, after_connecting, breaker_of, clients, direct_of, greeted, hang_up_on_all
from puppet import pack, puppet

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.stores.redis import direct as direct_module
from gatehound.stores.redis.breaker import Breaker
from gatehound.stores.redis.direct import Direct, Line
from gatehound.stores.redis.hot import Closed
from gatehound.stores.redis.wire import Wire

LIMIT = 3
PATIENT = 10.0  # where nobody is meant to wait so long


@contextmanager
def opened(
    url: str, *, limit: int = LIMIT, patience: float = PATIENT, **more: Any
) -> Iterator[Wire]:
    """A wire whose hot way has few lines; none may be lost in the end."""
    wire = Wire(url, suspends=False, **{"deadline": 5.0, **more})
    direct = direct_of(wire)
    direct._free, direct._patience = limit, patience
    try:
        yield wire
        assert places(direct) == limit
    finally:
        run_sync(wire.close())
    assert (direct._free, len(direct._idle), len(direct._turns)) == (limit, 0, 0)


def places(direct: Direct) -> int:
    return direct._free + len(direct._idle)


def has_turns(direct: Direct, count: int) -> bool:
    return len(direct._turns) == count


def call(wire: Wire, *command: Any) -> Any:
    return run_sync(wire.call(*command))


def together(works: list[Callable[[], None]]) -> None:
    """Run each in a thread of its own; what one raises fails the test."""
    wrong: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # told below
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


class Gate:
    """A server that answers GETs only once it is opened, and counts who waits."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()

    def say(self, words: list[bytes]) -> bytes:
        if words[1] != b"quick":
            self.arrived.release()
            self.opened.wait(20)
        return pack(words[1])


# --- turns ---


def test_more_threads_than_lines_are_all_served(url: str, admin: Any) -> None:
    with opened(url) as wire:
        direct = direct_of(wire)

        def ask(n: int) -> None:
            for turn in range(20):
                text = b"%d-%d" % (n, turn)
                assert call(wire, "EVAL", ECHO, 0, text) == text

        together([partial(ask, n) for n in range(16)])
        assert len(clients(admin)) == len(direct._idle) <= LIMIT


def test_one_after_another_has_one_line(url: str, admin: Any) -> None:
    with opened(url) as wire:
        for n in range(10):
            assert call(wire, "EVAL", ECHO, 0, n) == b"%d" % n
        assert run_sync(wire.batch([("GET", "k"), ("TIME",), ("GET", "k")]))[::2] == [None, None]
        assert len(clients(admin)) == 1


def test_who_waits_is_served_in_turn() -> None:
    """Those who have just been served do not overtake those who wait."""
    served: list[int] = []
    gate = Gate()
    with puppet(greeted(gate.say)) as server, opened(f"redis://{server.place}", limit=1) as wire:
        direct = direct_of(wire)

        def ask(n: int) -> None:
            call(wire, "GET", f"{n}")
            served.append(n)
            if n == 0:
                for _ in range(5):  # this thread runs on: it would take the line again
                    call(wire, "GET", "quick")
                served.append(99)

        threads = []
        for n in range(4):
            threads.append(threading.Thread(target=ask, args=(n,)))
            threads[-1].start()
            if n:
                zoo.until(partial(has_turns, direct, n))
            else:
                assert gate.arrived.acquire(timeout=5)
        gate.opened.set()
        for thread in threads:
            thread.join(10)
    assert served == [0, 1, 2, 3, 99]


@pytest.mark.slow
def test_nobody_starves_where_threads_outnumber_lines(url: str, admin: Any) -> None:
    with opened(url, limit=2, patience=1.0) as wire:
        counts = [0] * 16
        until = time.monotonic() + 0.5

        def ask(n: int) -> None:
            while time.monotonic() < until:
                call(wire, "GET", "k")
                counts[n] += 1

        together([partial(ask, n) for n in range(16)])
    assert min(counts) > max(counts) / 4


def test_over_the_patience_all_are_said_to_be_in_use() -> None:
    gate = Gate()
    with (
        puppet(greeted(gate.say)) as server,
        opened(f"redis://{server.place}", limit=2, patience=0.05) as wire,
    ):
        threads = [
            threading.Thread(target=call, args=(wire, "GET", f"{n}"), daemon=True) for n in range(2)
        ]
        for thread in threads:
            thread.start()
            assert gate.arrived.acquire(timeout=5)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="in use"):
            call(wire, "GET", "quick")
        assert 0.05 <= time.monotonic() - began < 1
        assert breaker_of(wire).silences == 0
        assert not direct_of(wire)._turns
        gate.opened.set()
        for thread in threads:
            thread.join(10)
        assert call(wire, "GET", "quick") == b"quick"


def test_a_line_that_comes_in_the_last_moment_is_taken(url: str, admin: Any) -> None:
    """Handed over while the one who waits gives up: it is neither lost nor refused."""
    with opened(url, limit=1) as wire:
        call(wire, "GET", "k")
        direct = direct_of(wire)
        line = direct._take()

        class Late(SimpleQueue[Any]):
            def get(self, block: bool = True, timeout: float | None = None) -> Any:
                direct._give_back(line)
                raise Empty

        class Interrupted(Late):
            def get(self, block: bool = True, timeout: float | None = None) -> Any:
                with suppress(Empty):
                    super().get()
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(direct_module, "SimpleQueue", Late)
            assert direct._take() is line
            patch.setattr(direct_module, "SimpleQueue", Interrupted)
            with pytest.raises(KeyboardInterrupt):
                direct._take()
            assert list(direct._idle) == [line]
            direct._drop(direct._take())
            direct._free -= 1
            patch.setattr(Interrupted, "get", _interrupted_after(lambda: direct._count_free()))
            with pytest.raises(KeyboardInterrupt):
                direct._take()
        assert direct._free == 1


def _interrupted_after(work: Callable[[], None]) -> Callable[..., None]:
    def get(*args: Any, **options: Any) -> None:
        work()
        raise KeyboardInterrupt

    return get


# --- lines that cannot be used ---


def test_a_line_whose_server_hung_up_is_replaced(url: str, admin: Any) -> None:
    with opened(url) as wire:
        for n in range(3):
            assert call(wire, "EVAL", ECHO, 0, n) == b"%d" % n
            hang_up_on_all(admin)
        assert breaker_of(wire).silences == 0


def test_many_lines_whose_server_hung_up_are_replaced(url: str, admin: Any) -> None:
    with opened(url, limit=20) as wire:
        barrier = threading.Barrier(20)

        def ask() -> None:
            line = direct_of(wire)._take()
            barrier.wait(10)
            direct_of(wire)._give_back(line)

        together([ask] * 20)
        assert len(direct_of(wire)._idle) == 20
        hang_up_on_all(admin)
        together([lambda: call(wire, "GET", "k")] * 10)
        assert breaker_of(wire).silences == 0


@pytest.mark.parametrize("where", ["with the reply", "later"])
def test_a_stray_reply_is_never_believed(where: str) -> None:
    def say(words: list[bytes]) -> bytes:
        twice = words[1] == b"first" and where == "with the reply"
        return pack(words[1]) * (2 if twice else 1)

    with puppet(greeted(say)) as server, opened(f"redis://{server.place}") as wire:
        assert call(wire, "GET", "first") == b"first"
        if where == "later":
            server.tell(pack(b"stray"))
            [line] = direct_of(wire)._idle
            zoo.until(lambda: not line.is_idle)
        for n in range(3):
            assert call(wire, "GET", f"{n}") == b"%d" % n
        assert server.connections == 2


def test_a_stray_reply_on_a_line_that_is_new_is_never_believed() -> None:
    with puppet(greeted(lambda words: pack(words[1]))) as server:

        def speak(connection: Any) -> None:
            if server.connections == 1:
                server.tell(pack(b"stray"))
                arrived = select.poll()
                arrived.register(connection._sock, select.POLLIN)
                assert arrived.poll(5000)

        with opened(f"redis://{server.place}") as wire:
            after_connecting(direct_of(wire), speak)
            with pytest.raises(StoreUnavailable):
                call(wire, "GET", "k")
            assert call(wire, "GET", "k") == b"k"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n"])
def test_garbage_is_corrupt_and_its_line_is_closed(garbage: bytes) -> None:
    def say(words: list[bytes]) -> bytes:
        return garbage if words[1] == b"bad" else pack(words[1])

    with puppet(greeted(say)) as server:
        wire = Wire(f"redis://{server.place}", suspends=False)
        call(wire, "GET", "k")
        with pytest.raises(StoreCorrupt):
            call(wire, "GET", "bad")
        assert call(wire, "GET", "k") == b"k"
        assert server.connections == 2
        run_sync(wire.close())


@pytest.mark.parametrize("place", ["sendall", "recv", "poll", "gets"])
def test_an_interruption_closes_the_line_and_frees_its_place(
    place: str, url: str, admin: Any
) -> None:
    class Interrupting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._inner, name)

            def interrupted(*args: Any) -> Any:
                method(*args)
                raise KeyboardInterrupt

            return interrupted if name == place else method

    with opened(url) as wire:
        for n in range(LIMIT * 2):
            call(wire, "EVAL", ECHO, 0, "before")
            [line] = direct_of(wire)._idle
            for name in ("_sock", "_poll", "_reader"):
                setattr(line, name, Interrupting(getattr(line, name)))
            with pytest.raises(KeyboardInterrupt):
                call(wire, "EVAL", ECHO, 0, "interrupted")
            assert not direct_of(wire)._idle
            assert call(wire, "EVAL", ECHO, 0, n) == b"%d" % n
        assert breaker_of(wire).silences == 0
        zoo.until(lambda: len(clients(admin)) == 1)


def test_a_connection_that_cannot_be_made_costs_no_place(url: str, admin: Any) -> None:
    """Neither where making the object fails, nor connecting, nor closing it."""
    with opened(url) as wire:
        direct = direct_of(wire)
        pool = direct._server.pool
        kind = pool.connection_class

        def not_made(**options: Any) -> None:
            raise redis.RedisError("not made")

        def interrupt(connection: Any) -> None:
            raise KeyboardInterrupt

        for _ in range(LIMIT + 1):
            pool.connection_class = not_made
            with pytest.raises(StoreUnavailable, match="not made"):
                call(wire, "GET", "k")
            pool.connection_class = kind
            after_connecting(direct, interrupt)
            with pytest.raises(KeyboardInterrupt):
                call(wire, "GET", "k")
            pool.connection_class = kind
            line = direct._take()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Line, "close", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    direct._drop(line)
            line.close()
        assert call(wire, "GET", "k") is None


def test_a_line_that_rested_for_too_long_is_replaced(url: str, admin: Any) -> None:
    seconds = [100.0]
    with opened(f"{url}?health_check_interval=30", clock=lambda: seconds[0]) as wire:
        lines: list[Line] = []
        for rest in (0, 29, 31):
            seconds[0] += rest
            call(wire, "GET", "k")
            lines += direct_of(wire)._idle
        assert lines[0] is lines[1] is not lines[2]
        zoo.until(lambda: len(clients(admin)) == 1)


# --- silence ---


@pytest.mark.slow
def test_a_silent_server_is_given_up_on_at_the_deadline() -> None:
    def say(words: list[bytes]) -> bytes | None:
        return None if words[1] == b"lost" else pack(words[1])

    with (
        puppet(greeted(say)) as server,
        opened(f"redis://{server.place}", deadline=0.25) as wire,
    ):
        call(wire, "GET", "k")
        for n in range(1, 3):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                call(wire, "GET", "lost")
            assert 0.25 <= time.monotonic() - began < 1
            assert breaker_of(wire).silences == n
        assert call(wire, "GET", "k") == b"k"
        assert breaker_of(wire).silences == 0


def test_a_server_that_is_gone_is_a_silence_each_time() -> None:
    """Also where it went while nobody asked, so that its line is found dead."""
    with puppet(greeted(lambda words: pack(words[1]))) as server:
        wire = Wire(f"redis://{server.place}", suspends=False)
        call(wire, "GET", "k")
    for n in range(1, 4):
        with pytest.raises(StoreUnavailable, match=r"refused|broke the connection off"):
            call(wire, "GET", "k")
        assert breaker_of(wire).silences == n
    with pytest.raises(StoreUnavailable, match="left alone"):
        call(wire, "GET", "k")
    run_sync(wire.close())


def test_a_reply_that_is_cut_off_is_no_reply_and_nothing_is_sent_again() -> None:
    def say(words: list[bytes]) -> bytes:
        if words[0] == b"EVAL":
            server.tell(pack(b"a long reply")[:-5])
            raise OSError  # hangs up
        return pack(words[1])

    with puppet(greeted(say)) as server, opened(f"redis://{server.place}") as wire:
        call(wire, "GET", "k")
        with pytest.raises(StoreUnavailable):
            call(wire, "EVAL", "redis.call('INCR', KEYS[1])", 1, "n")
        assert [words[0] for words in server.asked].count(b"EVAL") == 1
        assert breaker_of(wire).silences == 1


# --- closing, processes ---


def test_a_close_tells_those_who_wait_for_a_line_and_spares_those_who_have_one() -> None:
    gate = Gate()
    told: list[Any] = []
    with puppet(greeted(gate.say)) as server:
        wire = Wire(f"redis://{server.place}", suspends=False, deadline=5.0)
        direct = direct_of(wire)
        direct._free, direct._patience = 1, PATIENT

        def ask(n: int) -> None:
            try:
                told.append(call(wire, "GET", f"{n}"))
            except StoreError as error:
                told.append(error)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
        threads[0].start()
        assert gate.arrived.acquire(timeout=5)
        for n, thread in enumerate(threads[1:], start=1):
            thread.start()
            zoo.until(partial(has_turns, direct, n))
        run_sync(wire.close())
        for thread in threads[1:]:
            thread.join(5)
        assert len(told) == 2
        assert all("was closed" in str(error) for error in told)
        gate.opened.set()
        threads[0].join(5)
        assert told[2] == b"0"
        assert (direct._free, len(direct._idle)) == (1, 0)
        assert breaker_of(wire).silences == 0
        direct._free = 0
        with pytest.raises(Closed):
            direct._take()
        direct._free = 1


@pytest.mark.slow
def test_closes_beside_other_threads_lose_no_line(url: str, admin: Any) -> None:
    seen: set[Direct] = set()
    wire = Wire(url, suspends=False, deadline=5.0)

    def ask(n: int) -> None:
        for turn in range(60):
            text = b"%d-%d" % (n, turn)
            with suppress(StoreUnavailable):
                direct = direct_of(wire)
                if direct not in seen:
                    seen.add(direct)
                    direct._free -= 48  # two are left
                assert call(wire, "EVAL", ECHO, 0, text) == text

    def close() -> None:
        for _ in range(20):
            run_sync(wire.close())

    together([*(partial(ask, n) for n in range(8)), close, close])
    run_sync(wire.close())
    assert all((one._free, len(one._idle), len(one._turns)) == (2, 0, 0) for one in seen)
    assert clients(admin) == []


def test_a_child_opens_its_own_lines(url: str, admin: Any) -> None:
    with opened(url) as wire:
        call(wire, "GET", "k")
        mine = list(direct_of(wire)._idle)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
            child = os.fork()
        if child == 0:
            code = 1
            try:
                right = all(call(wire, "EVAL", ECHO, 0, n) == b"%d" % n for n in range(50))
                if right and not set(direct_of(wire)._idle).intersection(mine):
                    run_sync(wire.close())
                    code = 0
            finally:
                os._exit(code)
        for n in range(50):
            assert call(wire, "EVAL", ECHO, 0, -n) == b"%d" % -n
        assert os.waitpid(child, 0)[1] == 0
        assert call(wire, "EVAL", ECHO, 0, "after") == b"after"
        assert list(direct_of(wire)._idle) == mine


def stress(url: str, admin: Any, *, threads: int, turns: int) -> None:
    """No answer belongs to another, none is lost, and no line either, whatever breaks."""
    with opened(url, limit=8) as wire:
        hung_up = threading.Event()
        answered = [0] * threads
        # It would keep all from asking for a second each time.
        vars(wire.nodes)["breaker"] = lambda address: Breaker(time.monotonic)

        def ask(n: int) -> None:
            chance = random.Random(n)
            for turn in range(turns):
                text = b"%d-%d" % (n, turn)
                size = chance.choice([1, 1, 1, 3])
                texts = [text + b"." * chance.randrange(200) for _ in range(size)]
                try:
                    if size == 1:
                        assert call(wire, "EVAL", ECHO, 0, texts[0]) == texts[0]
                    else:
                        commands = [("EVAL", ECHO, 0, text) for text in texts]
                        replies = run_sync(wire.batch(commands))
                        if not any(isinstance(reply, StoreError) for reply in replies):
                            assert replies == texts
                    answered[n] += 1
                except StoreUnavailable:
                    assert hung_up.is_set()

        def hang_up() -> None:
            for n in range(turns // 10):
                time.sleep(0.002)
                hung_up.set()
                for client in clients(admin)[: n % 4]:
                    with suppress(redis.ResponseError):
                        admin.client_kill_filter(_id=client["id"])

        together([*(partial(ask, n) for n in range(threads)), hang_up])
        assert sum(answered) > threads * turns / 2, answered


@pytest.mark.slow
def test_no_answer_belongs_to_another(url: str, admin: Any) -> None:
    stress(url, admin, threads=16, turns=20)


@pytest.mark.full
@pytest.mark.ci
def test_no_answer_belongs_to_another_for_long(url: str, admin: Any) -> None:
    stress(url, admin, threads=32, turns=1000)
