"""What is written down of a run: operations of clients, and what went wrong meanwhile.

All times are seconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

Kind = Literal["login", "look", "end", "renew", "list", "count", "read", "search"]
Outcome = Literal["ok", "refused", "unknown", "corrupt", "crash"]

READS: Final[frozenset[Kind]] = frozenset({"look", "list", "read"})
ALIVE: Final = frozenset({"live", "grace"})
AUDIT: Final = "audit"


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: what was asked when, and what was answered when.

    `outcome` is "unknown" where no answer came in time (a write may still happen, even later),
    "corrupt" where the store noticed an answer that is not its own, "crash" for any other error.

    login   makes a session; `secret` is what it gave out, `ended` the sessions that made room
            (`told` False: not said), `mode` what happens at the limit, `epoch_read` when the
            epoch had been read that it was compared with (0: not compared)
    look    what `secret` of `sid` is worth: `standing`
    end     `mode` only, keep or all; `sid` is the one that is ended, or kept
    renew   `secret` took the place of `old`; `mode` privilege or routine
    list    `living` are the user's sessions
    count   adds 1; `total` is the sum after it
    read    app data; `total` is the sum, `mark` what was once written there
    search  the first page of all sessions

    `owners` are all (user, sid) that the answer named. `calls` is how often the store was asked
    for the same thing, `longest` how long the longest of these took.
    """

    client: str
    kind: Kind
    user: str
    start: float
    end: float
    outcome: Outcome
    sid: str = ""
    secret: str = ""
    old: str = ""
    mode: str = ""
    epoch_read: float = 0.0
    standing: str = ""
    owners: tuple[tuple[str, str], ...] = ()
    ended: tuple[str, ...] = ()
    told: bool = True
    living: tuple[str, ...] = ()
    total: int | None = None
    mark: str = ""
    calls: int = 1
    longest: float = 0.0
    error: str = ""


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a master: what it had acknowledged and not yet passed on is lost."""

    at: float
    users: frozenset[str]


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `healed` is when the server itself answered again; None: it never did not.

    `wipes` are moments after which nothing of before is there; (a, b): it was between a and b.
    `users` are those whom the fault touched. `woke` is when a master that had been replaced ran
    again: for `stale_for` seconds it may be believed by who has not heard of the failover.
    """

    began: float
    healed: float | None = None
    woke: float | None = None
    stale_for: float = 0.0
    wipes: tuple[tuple[float, float], ...] = ()
    failovers: tuple[Failover, ...] = ()
    users: frozenset[str] = frozenset()


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """The longest time for which a process got no processor, in seconds."""

    process: str
    longest: float


def name_of(secret: str) -> str:
    """Return a short name of a secret, the same in all processes."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def write(path: Path, ops: Iterable[Op], lag: Lag) -> None:
    """Write what one process did; the lag comes first."""
    encode = msgspec.json.encode
    path.write_bytes(b"\n".join([encode(lag), *map(encode, ops)]))


def read(paths: Iterable[Path]) -> tuple[list[Op], list[Lag]]:
    """Read what all processes did, in the order of starting."""
    ops: list[Op] = []
    lags: list[Lag] = []
    for path in paths:
        first, *rest = path.read_bytes().split(b"\n")
        lags.append(msgspec.json.decode(first, type=Lag))
        ops += [msgspec.json.decode(line, type=Op) for line in rest]
    return sorted(ops, key=lambda op: op.start), lags


class Report(msgspec.Struct, kw_only=True):
    """What one run showed; `violations` empty: all held. Durations are milliseconds.

    `lost_in_window` are acknowledged writes that a failover lost, `window_ms` the age of the
    oldest of them at that moment (None: there was no failover). `stale` are answers of a master
    that had been replaced, `stale_ms` how long it was believed after it woke up. `wiped` are
    sessions that went with a wipe. `recovery_ms` is None where the server was never away.
    """

    fault: str
    flavour: str
    operations: int = 0
    refused: int = 0
    unknown: int = 0
    corrupt: int = 0
    wrong_user: int = 0
    resurrected: int = 0
    lost: int = 0
    wiped: int = 0
    lost_in_window: int = 0
    window_ms: float | None = None
    stale: int = 0
    stale_ms: float | None = None
    blocked_read_ms: float = 0.0
    blocked_write_ms: float = 0.0
    recovery_ms: float | None = None
    lag_ms: float = 0.0
    violations: Sequence[str] = ()
