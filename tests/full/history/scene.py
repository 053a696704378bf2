"""One run: servers, four processes of clients, a fault, an audit, and the proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.stores.redis import RedisStore
from history.checker import CONNECT, READ, WRITE, Rules, check
from history.door_guard import GuardDoor, guard_settings, wsgi_serve
from history.door_store import StoreDoor, alias_of
from history.faults import Fault
from history.record import AUDIT, Op, Report, read
from history.worker import blocking_pause
from history.workload import Board, Client, Door, all_users

FOLDER = Path(__file__).parent.parent
PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How one run goes. `flavour` is loop or threads (a store), asgi or wsgi (a guard).

    One of the processes has `clock_jump`, or a `nap` from the moment of the fault on.
    """

    flavour: str
    clients: int = 8
    limit: int = 3
    pace: float = 0.05
    before: float = 2.0
    after: float = 3.5
    planted: str = ""
    clock_jump: float = 0.0
    nap: float = 0.0

    @property
    def is_guard(self) -> bool:
        """True where requests go through an adapter: several calls of the store make one."""
        return self.flavour in ("asgi", "wsgi")

    @property
    def rules(self) -> Rules:
        """What this run is held to.

        A request may wait for the session, and then write evidence; an end writes it and the
        event of an end; a sign-in asks for the epoch, and for the session at most twice.
        """
        if not self.is_guard:
            return Rules(self.limit)
        read = CONNECT + READ + WRITE
        return Rules(self.limit, read=read, write=read + WRITE)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left behind: the report, and the history it was made from."""

    report: Report
    ops: Sequence[Op]
    trouble: Any


def play(fault: Fault, plan: Plan, folder: Path) -> Run:
    """Run it. `fault` has to be entered already."""
    users = all_users(plan.clients)
    guard = Guard(guard_settings(fault.audit_url, "history", 1), sinks=()).blocking()
    alias = guard.alias if plan.is_guard else alias_of
    prepare(guard)
    with workers(fault.url, plan, folder) as running:
        for worker in running:
            assert worker.stdin is not None
            worker.stdin.write(b"go\n")
            worker.stdin.flush()
        time.sleep(plan.before)
        trouble = fault.strike({user: alias(user) for user in users})
        time.sleep(plan.after)
    paths = sorted(folder.glob("*.history"))
    assert len(paths) == PROCESSES, f"of {PROCESSES} processes {len(paths)} wrote their history"
    ops, lags = read(paths)
    ops += audit(fault.audit_url, plan, folder, users)
    report = check(fault.name, plan.flavour, ops, trouble, plan.rules, lags)
    return Run(report, ops, trouble)


def prepare(guard: Guard) -> None:
    """Write into the store whose it is, before everybody comes."""
    run_sync(guard.ready())
    run_sync(guard.store.close())


@contextmanager
def workers(url: str, plan: Plan, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the processes; stop them by closing their input, and wait."""
    running = [_start(url, plan, folder, number) for number in range(PROCESSES)]
    try:
        for worker in running:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n", "a worker did not start"
        yield running
        for worker in running:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in running:
            assert worker.wait(60) == 0, "a worker failed"
    finally:
        for worker in running:
            worker.kill()
            worker.wait(10)
            assert worker.stdout is not None
            worker.stdout.close()


def _start(url: str, plan: Plan, folder: Path, number: int) -> subprocess.Popen[bytes]:
    told = {
        "name": f"p{number}",
        "url": url,
        "flavour": plan.flavour,
        "folder": str(folder),
        "clients": plan.clients,
        "limit": plan.limit,
        "pace": plan.pace,
        "planted": plan.planted,
        "clock_jump": plan.clock_jump if number == 0 else 0.0,
        "nap": plan.nap if number == 0 else 0.0,
        "middle": plan.before,
    }
    path = folder / f"p{number}.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "history.worker", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])},
    )


def audit(url: str, plan: Plan, folder: Path, users: Sequence[str]) -> list[Op]:
    """Look at everything that was ever given out, when all others have gone."""
    door: Door
    if plan.is_guard:
        guard = Guard(guard_settings(url, "history", plan.limit), sinks=()).blocking()
        store: Any = guard.store
        door = GuardDoor(wsgi_serve(guard))
    else:
        store = RedisStore(url, namespace="history", suspends=False, deadline=2.0)
        door = StoreDoor(store, limit=plan.limit)

    boards = {user: Board(folder, user) for user in users}
    client = Client(AUDIT, door, boards, pause=blocking_pause, pace=0, stopped=lambda: True)
    run_sync(client.audit())
    run_sync(store.close())
    # The audit waits longer than clients do: what it took is nobody's deadline.
    return [msgspec.structs.replace(op, longest=0.0) for op in client.ops]


def show(reports: Sequence[Report]) -> str:
    """Lay the reports out as one table."""
    head = (
        "fault", "flavour", "ops", "unknown", "wrong user", "resurrected", "lost", "wiped",
        "in window", "window ms", "stale", "stale ms", "read ms", "write ms", "recovery ms",
        "lag ms",
    )  # fmt: skip
    rows = [head, *(_row(report) for report in reports)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(report: Report) -> tuple[str, ...]:
    cells = (
        report.fault, report.flavour, report.operations, report.unknown + report.corrupt,
        report.wrong_user, report.resurrected, report.lost, report.wiped, report.lost_in_window,
        report.window_ms, report.stale, report.stale_ms, report.blocked_read_ms,
        report.blocked_write_ms, report.recovery_ms, report.lag_ms,
    )  # fmt: skip
    return tuple(
        "-" if cell is None else f"{cell:.0f}" if isinstance(cell, float) else str(cell)
        for cell in cells
    )


def save(path: Path, reports: Sequence[Report]) -> None:
    """Write the reports as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(reports)), indent=2) + b"\n")
