"""The proof: what must hold over a whole history, whatever went wrong meanwhile.

Each rule is a function from the history to violations, in words. An operation whose outcome is
unknown may have happened, at any time after it began; it is never held against the store, and
it explains what it could have done. An asynchronous failover may lose what was acknowledged in
the last second before it: such losses are counted, and their age is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from history.record import ALIVE, AUDIT, READS, Failover, Lag, Op, Report, Trouble

# Replication over loopback takes milliseconds; a loss older than this is no race with a failover.
WINDOW: Final = 1.0
CONNECT, READ, WRITE = 1.0, 0.25, 1.0
RECOVERY: Final = 3.0
LATER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run is held to: the limit of sessions, and how long calls and recovery may take."""

    limit: int
    read: float = CONNECT + READ
    write: float = CONNECT + WRITE
    recovery: float = RECOVERY


@dataclass(slots=True)
class History:
    """Operations by what they are about, and the tally of what was found."""

    ops: Sequence[Op]
    trouble: Trouble
    rules: Rules
    logins: dict[str, Op] = field(default_factory=dict)
    of_user: dict[str, list[Op]] = field(default_factory=lambda: defaultdict(list))
    made: dict[tuple[str, str], Op] = field(default_factory=dict)
    lost_ages: dict[tuple[str, float], float] = field(default_factory=dict)
    stale_ages: list[float] = field(default_factory=list)
    wiped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for op in self.ops:
            self.of_user[op.user].append(op)
            if op.outcome == "ok" and op.kind == "login":
                self.logins[op.sid] = op
            if op.outcome == "ok" and op.kind in ("login", "renew"):
                self.made[op.sid, op.secret] = op

    def may_be_lost(self, write: Op, seen: Op) -> bool:
        """True where a failover between the two may have lost the write; it is counted.

        So is an answer, or a write, of a master that was replaced while it slept.
        """
        if self._is_stale(seen) or self._is_stale(write):
            return True
        for failover in self.trouble.failovers:
            if self._in_window(write, failover) and seen.end > failover.at:
                age = max(failover.at - write.end, 0.0)
                self.lost_ages[write.client, write.start] = age
                return True
        return False

    def _in_window(self, write: Op, failover: Failover) -> bool:
        if write.user not in failover.users:
            return False
        # A write that was under way may be acknowledged a moment after the fault.
        return failover.at - WINDOW <= write.end and write.start <= failover.at

    def _is_stale(self, op: Op) -> bool:
        woke = self.trouble.woke
        if woke is None or not woke <= op.end <= woke + self.trouble.stale_for:
            return False
        if not any(op.user in failover.users for failover in self.trouble.failovers):
            return False
        self.stale_ages.append(op.end - woke)
        return True

    def is_wiped(self, write: Op, seen: Op) -> bool:
        """True where all that was there went between the two."""
        return any(write.start < b and seen.end > a for a, b in self.trouble.wipes)


def check(
    fault: str, flavour: str, ops: Sequence[Op], trouble: Trouble, rules: Rules, lags: Sequence[Lag]
) -> Report:
    """Prove a history, or say what is wrong in it."""
    history = History(ops, trouble, rules)
    wrong = list(_wrong_users(history))
    resurrected = [*_resurrected(history), *_stale_logins(history)]
    lost = [*_lost(history), *_counts(history)]
    reads = max((op.longest for op in ops if op.kind in READS), default=0.0)
    writes = max((op.longest for op in ops if op.kind not in READS), default=0.0)
    recovery = _recovery(history)
    lag = max((lag.longest for lag in lags), default=0.0)
    others = [
        *_over_limit(history),
        *_crashes(history),
        *_late("a read", reads, rules.read + lag),
        *_late("a write", writes, rules.write + lag),
        *_late("recovery", recovery or 0.0, rules.recovery + lag),
    ]
    ages = history.lost_ages.values()
    return Report(
        fault=fault,
        flavour=flavour,
        operations=len(ops),
        refused=sum(op.outcome == "refused" for op in ops),
        unknown=sum(op.outcome == "unknown" for op in ops),
        corrupt=sum(op.outcome == "corrupt" for op in ops),
        wrong_user=len(wrong),
        resurrected=len(resurrected),
        lost=len(lost),
        wiped=len(history.wiped),
        lost_in_window=len(ages),
        window_ms=1000 * max(ages, default=0.0) if trouble.failovers else None,
        stale=len(history.stale_ages),
        stale_ms=None if trouble.woke is None else 1000 * max(history.stale_ages, default=0.0),
        blocked_read_ms=1000 * reads,
        blocked_write_ms=1000 * writes,
        recovery_ms=None if recovery is None else 1000 * recovery,
        lag_ms=1000 * lag,
        violations=[*wrong, *resurrected, *lost, *others],
    )


def _wrong_users(history: History) -> Iterator[str]:
    """No answer belongs to another user, or to another session than it was asked about."""
    for op in history.ops:
        for user, sid in op.owners:
            login = history.logins.get(sid)
            known = user if login is None else login.user
            asked_of = op.kind in ("login", "look", "renew", "count", "read")
            if (op.kind != "search" and user != op.user) or user != known:
                yield f"wrong user: {_words(op)} was answered with {user} {sid} ({known}'s)"
            elif asked_of and sid != op.sid:
                yield f"wrong session: {_words(op)} was answered with {sid}"
        if op.mark and op.mark != mark_of(op.user, op.sid):
            yield f"wrong data: {_words(op)} was answered with the data of {op.mark}"


def mark_of(user: str, sid: str) -> str:
    """What is written into the app data of a session, to say whose it is."""
    return f"{user}/{sid}"


def _resurrected(history: History) -> Iterator[str]:
    """After an acknowledged end no secret of that session authenticates, nor is it listed."""
    ends = _ends(history)
    for op in history.ops:
        if op.outcome != "ok":
            continue
        alive = [(op.sid, op.secret)] if op.kind == "look" and op.standing in ALIVE else []
        alive += [(sid, "") for sid in op.living]
        for sid, secret in alive:
            found = [*ends.get((sid, ""), ()), *(ends.get((sid, secret), ()) if secret else ())]
            for end in found:
                if end.end < op.start and not history.may_be_lost(end, op):
                    yield f"resurrected: {_words(op)} found {sid} alive, after {_words(end)}"
                    break


def _ends(history: History) -> dict[tuple[str, str], list[Op]]:
    """What ended a session, ("sid", ""), or one of its secrets, ("sid", "secret")."""
    ends: dict[tuple[str, str], list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.outcome != "ok":
            continue
        for sid in op.ended:
            ends[sid, ""].append(op)
        if op.kind == "renew" and op.mode == "privilege":
            ends[op.sid, op.old].append(op)
        if op.kind == "end":
            for login in history.of_user[op.user]:
                if login.kind == "login" and login.end < op.start and _ends_it(op, login.sid):
                    ends[login.sid, ""].append(op)
    return ends


def _ends_it(op: Op, sid: str) -> bool:
    return op.mode == "all" or (op.sid == sid) == (op.mode == "only")


def _stale_logins(history: History) -> Iterator[str]:
    """A login that began before an acknowledged end of all does not survive it."""
    for op in history.logins.values():
        if not op.epoch_read:
            continue
        for end in history.of_user[op.user]:
            ended_all = end.kind == "end" and end.outcome == "ok" and end.mode != "only"
            between = op.epoch_read < end.start and end.end < op.start
            if not ended_all or not between or history.is_wiped(end, op):
                continue
            if not history.may_be_lost(end, op):
                yield f"resurrected: {_words(op)} succeeded, though it began before {_words(end)}"


def _lost(history: History) -> Iterator[str]:
    """An acknowledged login or rotation holds until something explains its end."""
    for op in history.ops:
        if op.outcome != "ok":
            continue
        if op.kind == "look" and op.standing not in ALIVE:
            yield from _loss(history, op, op.sid, op.secret)
        elif op.kind == "list":
            for sid, login in history.logins.items():
                if login.user == op.user and sid not in op.living:
                    yield from _loss(history, op, sid, "")


def _loss(history: History, seen: Op, sid: str, secret: str) -> Iterator[str]:
    made = history.made.get((sid, secret)) if secret else history.logins.get(sid)
    if made is None or made.end >= seen.start:
        return
    replaced = seen.standing in ("superseded", "reused")
    explains = _replaces if replaced else _may_end
    for op in history.of_user[seen.user]:
        if op.start >= seen.end:
            break
        if op is not made and (op.end > made.start or _is_open(op)) and explains(op, made):
            return
    login = history.logins.get(sid, made)
    if history.is_wiped(made, seen):
        history.wiped.add(sid)
    elif not history.may_be_lost(made, seen) and not history.may_be_lost(login, seen):
        yield f"lost: {_words(seen)} said {seen.standing or 'absent'} after {_words(made)}"


def _is_open(op: Op) -> bool:
    """True for what may still happen, or may have happened without its answer."""
    return op.outcome in ("unknown", "corrupt", "crash") or op.calls > 1


def _may_end(op: Op, made: Op) -> bool:
    if op.kind == "end":
        return (op.outcome == "ok" or _is_open(op)) and _ends_it(op, made.sid)
    if op.kind != "login" or op.mode == "deny":
        return made.sid in op.ended
    return made.sid in op.ended or (op.outcome == "ok" and not op.told) or _is_open(op)


def _replaces(op: Op, made: Op) -> bool:
    return op.kind == "renew" and op.sid == made.sid and (op.outcome == "ok" or _is_open(op))


def _counts(history: History) -> Iterator[str]:
    """A counter ends between what was acknowledged, and that plus what may have happened."""
    counts: dict[str, list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.kind == "count" and (op.total is not None or op.outcome != "ok"):
            counts[op.sid].append(op)
    for op in history.ops:
        login = history.logins.get(op.sid)
        if op.client != AUDIT or op.kind != "read" or login is None or op.outcome != "ok":
            continue
        if op.standing not in ALIVE:
            continue  # a dead session has no data: whether it may be dead is asked elsewhere
        if not any(login.start < b for _, b in history.trouble.wipes):
            yield from _count(history, op, counts[op.sid])
    if not history.trouble.wipes and not history.trouble.failovers:
        for sid, ops in counts.items():
            sums = [op.total for op in ops if op.total is not None]
            if len(set(sums)) < len(sums):
                yield f"lost: two counts of {sid} were answered with the same sum"


def _count(history: History, seen: Op, ops: Sequence[Op]) -> Iterator[str]:
    sure = [op for op in ops if op.outcome == "ok"]
    total = seen.total or 0
    missing = len(sure) - total
    if total > len(ops):
        yield f"counted twice: {_words(seen)} found {total}, at most {len(ops)} were asked for"
    if missing > 0:
        newest = sorted(sure, key=lambda op: op.end, reverse=True)
        # What a failover loses is the newest of what came before it.
        for op in newest:
            if missing and history.may_be_lost(op, seen):
                missing -= 1
        if missing:
            yield f"lost: {_words(seen)} found {total} of {len(sure)} acknowledged counts"


def _over_limit(history: History) -> Iterator[str]:
    """Nobody has more sessions than allowed, in a list or by authenticating."""
    limit = history.rules.limit
    alive: dict[str, set[str]] = defaultdict(set)
    for op in history.ops:
        if len(op.living) > limit and op.kind == "list":
            yield f"over the limit: {_words(op)} showed {len(op.living)} sessions of {limit}"
        if op.client == AUDIT and op.kind == "look" and op.standing in ALIVE:
            alive[op.user].add(op.sid)
    for user, sids in alive.items():
        if len(sids) > limit:
            yield f"over the limit: {len(sids)} sessions of {user} authenticate, {limit} may"


def _crashes(history: History) -> Iterator[str]:
    """Whatever happens to the server, callers see one of the store's own errors."""
    for op in history.ops:
        if op.outcome == "crash":
            yield f"crash: {_words(op)}: {op.error}"


def _late(what: str, took: float, allowed: float) -> Iterator[str]:
    if took > allowed:
        yield f"blocked: {what} took {took * 1000:.0f} ms, {allowed * 1000:.0f} ms are allowed"


def _recovery(history: History) -> float | None:
    """How long after the server the last client had its first answer.

    Who did not ask at that moment counts from when it did.
    """
    healed = history.trouble.healed
    if healed is None:
        return None
    touched = [op for op in history.ops if op.user in history.trouble.users and op.client != AUDIT]
    waits = {(op.client, op.user): LATER for op in touched}
    asked: dict[tuple[str, str], float] = {}
    for op in touched:
        if op.end >= healed:
            who = op.client, op.user
            since = max(asked.setdefault(who, op.start), healed)
            if op.outcome in ("ok", "refused"):
                waits[who] = min(waits[who], op.end - since)
    return max(waits.values(), default=LATER)


def _words(op: Op) -> str:
    what = " ".join(part for part in (op.kind, op.mode, op.user, op.sid) if part)
    return f"[{op.client} {what} {op.start:.3f}-{op.end:.3f} {op.outcome}]"
