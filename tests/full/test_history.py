"""Faults with load running, over the real store and the real guard: see the package history.

The oracle: over everything that 32 clients in four processes did, no answer belongs to another
user, nothing that was ended comes back, nothing that was acknowledged is lost (but in the last
second before an asynchronous failover, and that is measured), and nobody waits longer than the
deadline. Not checked: speed.

With HISTORY_JSON the reports are written to the file that it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from history import faults, faults_many
from history.faults import Fault
from history.record import Op, Report
from history.scene import Plan, Run, play, save, show

pytestmark = pytest.mark.full

CI = pytest.mark.ci
HOUR = 3600.0


@pytest.fixture(scope="module")
def reports(pytestconfig: pytest.Config) -> Iterator[list[Report]]:
    """Collect the reports, and show them as one table."""
    found: list[Report] = []
    yield found
    if found:
        capture = pytestconfig.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{show(found)}")  # noqa: T201 - the table is what the run is for
    if path := os.environ.get("HISTORY_JSON"):
        save(Path(path), found)


def run(fault: type[Fault], plan: Plan, folder: Path, reports: list[Report]) -> Run:
    with fault(folder) as entered:
        done = play(entered, plan, folder)
    reports.append(done.report)
    return done


def proven(fault: type[Fault], plan: Plan, folder: Path, reports: list[Report]) -> Run:
    """Run it; every rule has to hold, and the clients have to have been busy."""
    done = run(fault, plan, folder, reports)
    assert done.report.violations == []
    assert len({op.client for op in done.ops}) == 33  # the audit is one more
    assert sum(op.outcome == "ok" for op in done.ops) > 1000
    return done


def few(count: int, done: Run) -> bool:
    """None, but for a deadline that a busy machine may cost."""
    return count <= len(done.ops) / 100


FLAVOURS = ("loop", "threads")


def cases(*, ci: str = "") -> list[object]:
    return [pytest.param(name, marks=CI if name == ci else ()) for name in FLAVOURS]


# --- one server ---


@pytest.mark.parametrize("flavour", cases(ci="loop"))
def test_a_durable_server_that_is_killed_forgets_nothing(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.Kill, Plan(flavour), tmp_path, reports)
    assert done.report.unknown
    assert done.report.recovery_ms


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_server_without_persistence_forgets_all_at_once(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.KillForgetful, Plan(flavour), tmp_path, reports)
    assert done.report.wiped


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_frozen_server_holds_nobody_beyond_the_deadline(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.Frozen, Plan(flavour), tmp_path, reports)
    assert done.report.unknown


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_emptied_server_signs_everybody_out(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.FlushAll, Plan(flavour), tmp_path, reports)
    assert done.report.wiped
    assert few(done.report.unknown, done)


@pytest.mark.parametrize("flavour", cases(ci="threads"))
def test_a_full_server_refuses_logins_alone(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.Full, Plan(flavour), tmp_path, reports)
    assert done.trouble.healed is not None
    full = [
        op
        for op in done.ops
        if op.start > done.trouble.began + 0.1 and op.end < done.trouble.healed - 0.1
    ]
    said = {kind: [op for op in full if op.kind == kind] for kind in ("look", "end", "login")}
    assert {op.outcome for op in said["look"]} == {"ok"}
    assert {op.outcome for op in said["end"]} == {"ok"}
    assert any(op.standing == "live" for op in said["look"])
    assert any(op.ended for op in said["end"])
    refused = [op for op in said["login"] if not is_denied(op)]
    assert refused
    assert all("maxmemory" in op.error for op in refused)


def is_denied(op: Op) -> bool:
    """True for a login that the limit or the epoch refused: that needs no memory."""
    return op.outcome == "refused"


@pytest.mark.parametrize("flavour", cases(ci="loop"))
def test_a_network_that_delays_drops_truncates_and_resets(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults.Network, Plan(flavour), tmp_path, reports)
    assert done.report.unknown > 50


@pytest.mark.parametrize("flavour", [*FLAVOURS, "asgi", "wsgi"])
@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_process_whose_clocks_jump_by_an_hour_judges_as_before(
    flavour: str, jump: float, tmp_path: Path, reports: list[Report]
) -> None:
    plan = Plan(flavour, clock_jump=jump)
    done = proven(faults.Clock, plan, tmp_path, reports)
    assert few(done.report.unknown, done)


# --- several servers ---


@pytest.mark.parametrize("flavour", cases(ci="threads"))
def test_a_cluster_master_that_is_killed_is_replaced(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults_many.ClusterKill, Plan(flavour), tmp_path, reports)
    assert done.report.unknown


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_a_replica_had_not_heard_is_lost_and_measured(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults_many.ClusterKillLagging, Plan(flavour), tmp_path, reports)
    assert done.report.lost_in_window
    assert done.report.window_ms is not None
    assert 0 < done.report.window_ms <= 1000 * faults_many.LAG + 100


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_cluster_master_that_stops_for_ten_seconds_is_replaced(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    plan = Plan(flavour, nap=faults_many.FROZEN + 1.0)  # one process hears nothing of it
    proven(faults_many.ClusterFreeze, plan, tmp_path, reports)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_buckets_that_move_to_another_server_stay_whole(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = proven(faults_many.Reshard, Plan(flavour), tmp_path, reports)
    # A user's keys lie on two servers for a while, but no request, login or end fails for it.
    must = ("look", "login", "end")
    refused = [op for op in done.ops if op.kind in must and "refused" in op.error]
    assert [op for op in refused if op.outcome == "unknown"] == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_sentinels_replace_a_master_that_is_killed(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    proven(faults_many.SentinelKill, Plan(flavour), tmp_path, reports)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_master_that_sentinels_replaced_is_not_believed_when_it_wakes_up(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    plan = Plan(flavour, nap=faults_many.DEPOSED + 1.0)
    proven(faults_many.SentinelFreeze, plan, tmp_path, reports)


# --- through the guard ---


GUARDED: list[type[Fault]] = [
    faults.Kill,
    faults.KillForgetful,
    faults.FlushAll,
    faults.Full,
    faults.Network,
    faults_many.ClusterKill,
    faults_many.ClusterFreeze,
    faults_many.Reshard,
    faults_many.SentinelKill,
]


@pytest.mark.parametrize("flavour", ["asgi", "wsgi"])
@pytest.mark.parametrize("fault", GUARDED, ids=lambda fault: fault.__name__)
def test_all_holds_through_the_guard(
    fault: type[Fault], flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    proven(fault, Plan(flavour), tmp_path, reports)


# --- and it can fail ---


@pytest.mark.ci
@pytest.mark.parametrize(("defect", "found"), [("shared", "wrong_user"), ("cached", "resurrected")])
def test_a_planted_defect_is_found(defect: str, found: str, tmp_path: Path) -> None:
    plan = replace(Plan("threads", planted=defect), before=1.0, after=0.5)
    done = run(faults.Fault, plan, tmp_path, [])
    assert getattr(done.report, found) > 5


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_swapped_replies_are_noticed_and_reach_nobody(
    flavour: str, tmp_path: Path, reports: list[Report]
) -> None:
    done = run(faults.Swap, Plan(flavour), tmp_path, reports)
    assert done.report.corrupt
    assert done.report.wrong_user == 0
    assert done.report.resurrected == 0
    assert done.report.violations == []
