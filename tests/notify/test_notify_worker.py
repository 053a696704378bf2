"""The thread: started by the first event of a process, woken by news, ended cleanly."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from notify_kit import ENDED, FLAGGED, IDENTITY, SECRET, mail_of

from gatehound import Event, Guard
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.listing import Users
from gatehound.notify import Letter, Notifier, Step
from gatehound.notify import worker as module
from gatehound.notify.worker import Worker, Workers

WITHIN = 10.0  # seconds; it takes some milliseconds


def until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)  # polling: a real thread runs in real time


class Steps:
    """Stands for a notifier: counts its steps, and answers what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.count = 0
        self.closed = 0
        self.holders: set[str] = set()

    def run_for(self, holder: str, ends: Callable[[], bool]) -> Step:
        self.count += 1
        self.holders.add(holder)
        answer = self.answers.pop(0) if self.answers else Step()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close_store(self) -> None:
        self.closed += 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BREATH", 0.001)
    monkeypatch.setattr(module, "REST", 0.001)


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "gatehound-notify"]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert threads() == []


def started(steps: Steps) -> Workers:
    return Workers(steps)  # type: ignore[arg-type]  # it has what a worker calls


@pytest.mark.usefixtures("quick")
def test_the_first_event_starts_it_and_news_wakes_it() -> None:
    steps = Steps()
    workers = started(steps)
    assert threads() == []
    workers.wake(False)
    until(lambda: steps.count == 1)
    [thread] = threads()
    assert thread.daemon
    workers.wake(False)
    workers.wake(True)
    until(lambda: steps.count == 2)
    workers.stop()
    assert steps.closed == 1
    assert len(steps.holders) == 1


@pytest.mark.usefixtures("quick")
def test_it_goes_on_while_there_is_more_and_wakes_when_something_is_due() -> None:
    steps = Steps(Step(more=True), Step(more=True), Step(due_in=5), Step(due_in=0), Step())
    workers = started(steps)
    workers.wake(False)
    until(lambda: steps.count == 5)
    workers.stop()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [StoreUnavailable("down"), ZeroDivisionError()])
def test_a_step_that_fails_is_logged_and_done_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps(error)
    workers = started(steps)
    workers.wake(False)
    until(lambda: caplog.records)
    workers.wake(True)
    until(lambda: steps.count >= 2)
    workers.stop()
    [record] = [one for one in caplog.records if one.name == "gatehound.notify"]
    assert bool(record.exc_info) is isinstance(error, ZeroDivisionError)
    assert "tried again later" in record.message


def test_a_thread_of_before_a_fork_is_not_that_of_this_process() -> None:
    steps = Steps()
    workers = started(steps)
    workers._of[os.getpid() + 1] = Worker(steps)  # type: ignore[arg-type]  # as above
    workers.wake(False)
    until(lambda: steps.count == 1)
    workers.stop()
    workers.stop()


def test_one_that_ended_is_started_again() -> None:
    steps = Steps()
    workers = started(steps)
    workers.wake(False)
    workers._of[os.getpid()].stop()  # as if it had died
    workers.wake(False)
    until(lambda: steps.count == 2)
    workers.stop()
    assert steps.closed == 2


def test_of_two_that_start_it_at_once_one_does() -> None:
    steps = Steps()
    workers = started(steps)
    first = workers._start(None)
    assert workers._start(None) is first
    until(lambda: steps.count)
    assert len(threads()) == 1
    workers.stop()


def test_a_machine_without_a_thread_left_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    workers = started(steps)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                workers.wake(True)
    workers.wake(True)
    until(lambda: steps.count)
    workers.stop()


def test_for_good_means_that_no_event_starts_it_again() -> None:
    steps = Steps()
    workers = started(steps)
    workers.stop(for_good=True)
    workers.stop()
    workers.wake(True)
    assert (threads(), steps.count) == ([], 0)


# --- with a guard ---


def guard_of(store: str, call: Callable[[Letter], object], **notify: Any) -> Guard:
    return Guard(
        {
            "secret_keys": [SECRET],
            "identity_key": IDENTITY,
            "store": store,
            "notify": {"users": True, **notify},
        },
        users=Users(mail=mail_of),
        sinks=[],
        notify=call,
    )


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_event_becomes_a_letter_by_itself(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/sessions.db"
    letters: list[Letter] = []
    guard = guard_of(store, letters.append)
    notifier = guard.notifier
    assert notifier is not None
    monkeypatch.setattr(notifier, "_settle", 0)
    assert threads() == []
    run_sync(guard.blocking().tell(FLAGGED))
    until(lambda: len(letters) == 2)
    run_sync(guard.blocking().tell(ENDED))
    until(lambda: len(letters) == 4)
    assert {one.whom for one in letters} == {"user", "admins"}
    assert threading.current_thread() not in threads()
    notifier.close()


def test_without_a_thread_only_a_step_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    letters: list[Letter] = []
    guard = guard_of("memory://", letters.append, thread=False)
    assert guard.notifier is not None
    guard.notifier.run_once()
    run_sync(guard.blocking().tell(FLAGGED))
    assert threads() == []
    assert guard.notifier.run_once(settle=0).sent == 2


def test_hearing_never_waits() -> None:
    """It is called on the request's own thread."""
    calls: list[bool] = []

    class Waking:
        def wake(self, is_news: bool) -> None:
            calls.append(is_news)

    notifier = object.__new__(Notifier)
    notifier._workers = Waking()  # type: ignore[assignment]  # all that it uses
    notifier.hear(Event("session_created"))
    notifier.hear(FLAGGED)
    assert calls == [False, True]


@pytest.mark.full
@pytest.mark.ci
def test_a_fork_has_a_thread_of_its_own(tmp_path: Path) -> None:
    letters: list[Letter] = []
    guard = guard_of(f"sqlite:///{tmp_path}/sessions.db", letters.append)
    run_sync(guard.blocking().tell(Event("session_created", user_id="ada")))
    until(threads)
    assert guard.notifier is not None
    guard.notifier.close()  # a fork beside a running thread is the business of servers
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # the child tells how many threads it has, and ends without a word
        code = 1
        try:
            run_sync(guard.blocking().tell(FLAGGED))
            os.write(write, str(len(threads())).encode())
            guard.notifier.close()
            code = 0
        finally:
            os._exit(code)
    assert os.read(read, 10) == b"1"
    assert os.waitpid(pid, 0)[1] == 0
    os.close(read)
    os.close(write)
    assert threads() == []


@pytest.mark.full
@pytest.mark.ci
def test_a_process_that_ends_finishes_the_letter_and_leaves_no_lease(tmp_path: Path) -> None:
    """The thread is a daemon's; a process must not be cut off in the middle all the same."""
    code = f"""
import logging, os, sys, threading
logging.disable()
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
from test_notify_worker import FLAGGED, guard_of, run_sync

begun = threading.Event()


def slow(letter):
    begun.set()
    guard.notifier._workers._of[os.getpid()]._ends.wait(10)  # until the process ends
    print("sent", letter.whom, flush=True)


guard = guard_of("sqlite:///{tmp_path}/sessions.db", slow)
guard.notifier._settle = 0
run_sync(guard.blocking().tell(FLAGGED))
begun.wait(10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("sent") == 1
    letters: list[Letter] = []
    guard = guard_of(f"sqlite:///{tmp_path}/sessions.db", letters.append, thread=False)
    assert guard.notifier is not None
    assert guard.notifier.run_once().is_mine
    assert len(letters) == 1  # the other one
    run_sync(guard.blocking().close())
