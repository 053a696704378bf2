"""The checker can fail: a history with each violation planted, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from history.checker import Rules, check, mark_of
from history.record import AUDIT, Failover, Lag, Op, Report, Trouble, read, write
from history.scene import show

RULES = Rules(limit=2)
CALM = Trouble(began=0.0)
ANNA = frozenset({"anna"})


def op(kind: Any, start: float, **changes: Any) -> Op:
    """An operation of anna's that took 10 ms and went well."""
    values: dict[str, Any] = {
        "client": "p0.0",
        "kind": kind,
        "user": "anna",
        "start": start,
        "end": start + 0.01,
        "outcome": "ok",
    }
    return Op(**values | changes)


def login(start: float, sid: str = "s1", secret: str = "k1", **changes: Any) -> Op:
    owners = ((changes.get("user", "anna"), sid),)
    return op("login", start, sid=sid, secret=secret, owners=owners, **changes)


def look(start: float, standing: str, sid: str = "s1", secret: str = "k1", **changes: Any) -> Op:
    return op("look", start, sid=sid, secret=secret, standing=standing, **changes)


def end(start: float, mode: str = "all", **changes: Any) -> Op:
    return op("end", start, mode=mode, **changes)


def renew(start: float, mode: str = "privilege", **changes: Any) -> Op:
    return op("renew", start, sid="s1", old="k1", secret="k2", mode=mode, **changes)


def audited(start: float, total: int) -> Op:
    return op("read", start, client=AUDIT, sid="s1", secret="k1", total=total, standing="live")


def counts(*outcomes: str) -> list[Op]:
    return [
        op("count", 2 + n, sid="s1", outcome=said, total=n + 1 if said == "ok" else None)
        for n, said in enumerate(outcomes)
    ]


def proof(ops: Sequence[Op], trouble: Trouble = CALM, lag: float = 0.0) -> Report:
    lags = [Lag(process="p0", longest=lag)]
    return check("planted", "none", ops, trouble, RULES, lags)


def failover(at: float) -> Trouble:
    return Trouble(began=at, failovers=(Failover(at=at, users=ANNA),), users=ANNA)


FOUND = {
    "another user": ("wrong user", [login(1), look(2, "live", owners=(("bob", "s1"),))]),
    "another's session": (
        "wrong user",
        [login(1, user="bob", sid="s2"), op("list", 2, owners=(("anna", "s2"),))],
    ),
    "another session": ("wrong session", [login(1), look(2, "live", owners=(("anna", "s9"),))]),
    "in a search": (
        "wrong user",
        [login(1), op("search", 2, user="bob", owners=(("bob", "s1"),))],
    ),
    "another's data": ("wrong data", [login(1), op("read", 2, sid="s1", mark="bob/s2")]),
    "an ended session": (
        "resurrected",
        [login(1), end(2, "only", sid="s1"), look(3, "live")],
    ),
    "an ended session, graced": ("resurrected", [login(1), end(2), look(3, "grace")]),
    "an ended session, listed": (
        "resurrected",
        [login(1), end(2, "keep", sid="s2"), op("list", 3, living=("s1",))],
    ),
    "a session that made room": (
        "resurrected",
        [login(1), login(2, "s2", "k9", ended=("s1",)), look(3, "live")],
    ),
    "a replaced secret": ("resurrected", [login(1), renew(2), look(3, "live")]),
    "a login older than the end of all": (
        "resurrected",
        [end(2), login(3, epoch_read=1.0), look(4, "live")],
    ),
    "a lost login": ("lost", [login(1), look(2, "unknown")]),
    "a lost login that says ended": ("lost", [login(1), look(2, "ended")]),
    "a lost login, not listed": ("lost", [login(1), op("list", 2, living=())]),
    "a lost rotation": ("lost", [login(1), renew(2), look(3, "reused", secret="k2")]),
    "a login that only a refused end explains": (
        "lost",
        [login(1), end(2, outcome="refused"), look(3, "ended")],
    ),
    "a login that only an older end explains": (
        "lost",
        [end(0.5), login(1), look(2, "ended")],
    ),
    "a login that only another's end explains": (
        "lost",
        [login(1), end(2, "only", sid="s2"), look(3, "ended")],
    ),
    "a login that only a denied login explains": (
        "lost",
        [login(1), op("login", 2, mode="deny", outcome="unknown"), look(3, "ended")],
    ),
    "a lost count": ("lost", [login(1), *counts("ok", "ok"), audited(9, 1)]),
    "a lost count, no data": ("lost", [login(1), *counts("ok"), audited(9, 0)]),
    "a doubled count": ("counted twice", [login(1), *counts("ok", "unknown"), audited(9, 3)]),
    "one sum for two": (
        "lost",
        [login(1), op("count", 2, sid="s1", total=1), op("count", 3, sid="s1", total=1)],
    ),
    "a list over the limit": (
        "over the limit",
        [login(n, f"s{n}") for n in (1, 2, 3)] + [op("list", 5, living=("s1", "s2", "s3"))],
    ),
    "more that authenticate": (
        "over the limit",
        [login(n, f"s{n}") for n in (1, 2, 3)]
        + [look(5, "live", f"s{n}", client=AUDIT) for n in (1, 2, 3)],
    ),
    "an error of another kind": ("crash", [op("look", 1, outcome="crash", error="KeyError")]),
    "a read that blocked": ("blocked", [look(1, "live", longest=1.3)]),
    "a write that blocked": ("blocked", [end(1, longest=2.1)]),
}

INNOCENT: dict[str, Sequence[Op]] = {
    "found before the end was answered": [login(1), end(2, end=4.0), look(3, "live")],
    "ended by a login": [login(1), login(2, "s2", ended=("s1",)), look(3, "ended")],
    "may have made room": [login(1), op("login", 2, outcome="unknown"), look(3, "ended")],
    "made room untold": [login(1), login(2, "s2", told=False), look(3, "ended")],
    "an end of unknown outcome": [login(1), end(2, outcome="unknown"), look(3, "ended")],
    "and one that came to nothing": [login(1), end(2, outcome="unknown"), look(3, "live")],
    "an old end that may come late": [end(0.5, outcome="unknown"), login(1), look(2, "ended")],
    "kept": [login(1), end(2, "keep", sid="s1"), look(3, "live")],
    "an end before the login": [end(0.5), login(1), look(2, "live")],
    "a routine rotation": [login(1), renew(2, "routine"), look(3, "grace")],
    "a replaced secret, refused": [login(1), renew(2), look(3, "superseded")],
    "unknown counts": [login(1), *counts("ok", "unknown"), audited(9, 2)],
    "data of its own": [login(1), op("read", 2, sid="s1", mark=mark_of("anna", "s1"))],
    "asked after the end of all": [end(2), login(4, epoch_read=3.0), look(5, "live")],
    "a login of another user": [login(1, user="bob"), end(2), look(3, "live", user="bob")],
}


@pytest.mark.parametrize(("word", "ops"), FOUND.values(), ids=FOUND)
def test_a_planted_violation_is_found(word: str, ops: Sequence[Op]) -> None:
    report = proof(ops)
    assert [line.partition(":")[0] for line in report.violations] == [word]
    tally = (report.wrong_user, report.resurrected, report.lost)
    assert sum(tally) == (word in ("lost", "resurrected", "counted twice") or "wrong" in word)


@pytest.mark.parametrize("ops", INNOCENT.values(), ids=INNOCENT)
def test_what_is_explained_is_no_violation(ops: Sequence[Op]) -> None:
    assert proof(ops).violations == []


LOSSES: dict[str, Sequence[Op]] = {
    "login": [login(4.5), look(6, "unknown")],
    "end": [login(1), end(4.5), look(6, "live")],
    "rotation": [login(1), renew(4.5), look(6, "reused", secret="k2"), look(6, "live")],
    "count": [login(1), op("count", 4.5, sid="s1", total=1), audited(9, 0)],
}


@pytest.mark.parametrize("ops", LOSSES.values(), ids=LOSSES)
def test_a_failover_may_lose_the_last_second_and_no_more(ops: Sequence[Op]) -> None:
    report = proof(ops, failover(5.0))
    assert report.violations == []
    assert report.lost_in_window == 1
    assert report.window_ms == pytest.approx(490)
    for at in (4.0, 5.8):  # before it; long after it
        assert proof(ops, failover(at)).violations
    others = Failover(at=5.0, users=frozenset({"bob"}))
    assert proof(ops, Trouble(began=5.0, failovers=(others,))).violations


def test_a_master_that_wakes_up_may_be_believed_for_a_moment() -> None:
    def woke(at: float) -> Trouble:
        failovers = (Failover(at=0.0, users=ANNA),)
        return Trouble(began=0.0, woke=at, stale_for=0.1, failovers=failovers, users=ANNA)

    revived, lost = [login(1), end(2), look(9, "live")], [login(9), look(11, "unknown")]
    for ops in (revived, lost):
        report = proof(ops, woke(8.95))
        assert (report.violations, report.stale) == ([], 1)
        assert report.stale_ms == pytest.approx(60)
        assert len(proof(ops, woke(8.8)).violations) == 1
        assert len(proof(ops, woke(9.1)).violations) == 1


def test_a_failover_without_losses_has_a_window_of_nothing() -> None:
    report = proof([login(1), look(6, "live")], failover(5.0))
    assert (report.lost_in_window, report.window_ms) == (0, 0.0)


def test_a_wipe_explains_what_came_before_it() -> None:
    wiped = Trouble(began=5.0, wipes=((5.0, 5.1),), users=ANNA)
    before, after = login(1), login(6, "s2", "k2")
    report = proof([before, look(7, "unknown"), *counts("ok"), audited(9, 0)], wiped)
    assert (report.violations, report.wiped) == ([], 1)
    assert proof([before, end(2), look(7, "live")], wiped).resurrected == 1
    assert proof([after, look(7, "unknown", "s2", "k2")], wiped).lost == 1
    stale = login(6, epoch_read=1.0)
    assert proof([end(2), stale], wiped).violations == []


def test_recovery_is_that_of_the_last_client() -> None:
    trouble = Trouble(began=5.0, healed=6.0, users=ANNA)
    ops = [
        look(1, "live"),
        look(5.5, "", outcome="unknown"),
        look(5.995, "", outcome="unknown"),
        look(6.49, "live"),
        look(6.09, "live", client="p1.0"),
    ]
    report = proof(ops, trouble)
    assert report.recovery_ms == pytest.approx(500)
    assert report.violations == []
    napped = [*ops, look(1, "live", client="p2.0"), look(9.5, "live", client="p2.0")]
    assert proof(napped, trouble).violations == []
    late = look(9.5, "live", client="p2.0")
    slow = [*ops, look(6.1, "", client="p2.0", outcome="unknown"), late]
    assert [line[:17] for line in proof(slow, trouble).violations] == ["blocked: recovery"]
    never = [*ops, look(1, "live", client="p2.0")]
    assert proof(never, trouble).recovery_ms == float("inf")


def test_the_lag_of_a_busy_machine_is_no_ones_deadline() -> None:
    ops = [look(1, "live", longest=1.3)]
    assert proof(ops, lag=0.1).violations == []


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ops = [login(1, ended=("s0",)), look(2, "live", owners=(("anna", "s1"),))]
    lag = Lag(process="p0", longest=0.5)
    write(tmp_path / "p0", ops[1:], lag)
    write(tmp_path / "p1", ops[:1], lag)
    assert read([tmp_path / "p0", tmp_path / "p1"]) == (ops, [lag, lag])


def test_the_table_shows_every_run() -> None:
    lines = show([proof([login(1)]), proof([login(1)], failover(5.0))]).splitlines()
    assert lines[0].split("  ")[0] == "fault"
    assert [line.split()[-7] for line in lines[1:]] == ["-", "0"]
