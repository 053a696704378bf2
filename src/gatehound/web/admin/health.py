"""What an operator sees at a glance: figures over time, findings, the policy, store, notices."""

from __future__ import annotations

import time
from typing import Any, Final

from gatehound.guard import Guard
from gatehound.tally import HOUR, KINDS, Tally, levels
from gatehound.web.admin.chart import Chart, chart, grouped
from gatehound.web.asking import Ask
from gatehound.web.reply import Reply
from gatehound.web.serving import Served

DAY: Final = 24
RANGES: Final = {"2d": (2 * DAY, 1), "31d": (31 * DAY, DAY)}  # hours, and hours of one bar


async def overview(pages: Served, ask: Ask) -> Reply:
    """Show how many are signed in, and what happened over time."""
    guard = ask.visit._guard
    chosen = ask.parameters.get("range", "2d")
    hours, step = RANGES.get(chosen, RANGES["2d"])
    now = await guard.store.ping() / 1000
    tally, living = await guard.tally(), await guard.living()
    return pages.page(
        ask,
        "admin/overview.html",
        living=living,
        charts=_charts(tally, living, now, hours, step),
        chosen=chosen if chosen in RANGES else "2d",
        tally=tally,
        failed=await guard.failed_logins(),
        observed=await guard.observed(),
        mode=guard.settings.detection.mode,
        findings=await guard.check(),
    )


def _charts(tally: Tally, living: int, now: float, hours: int, step: int) -> dict[str, Chart]:
    """Lay out each series over the last hours, `step` of them in one bar."""
    last = int(now // HOUR)
    span = range(last - hours + 1, last + 1)
    moments = [hour * HOUR for hour in span][::step]
    found = {"active": chart(moments, levels(living, tally, span)[step - 1 :: step])}
    for kind in KINDS:
        found[kind] = chart(moments, grouped(tally.series(kind, span), step))
    return found


async def shown(pages: Served, ask: Ask) -> Reply:
    """Show the policy in words, what should be mended, and how the store and notices fare."""
    guard = ask.visit._guard
    findings = await guard.check()
    return pages.page(
        ask,
        "admin/health.html",
        policy=(await guard.describe()).splitlines(),
        findings=findings,
        store=await _store(guard),
        outboxes=() if guard.notifier is None else await guard.notifier.waiting(),
        observed=await guard.observed(),
        mode=guard.settings.detection.mode,
    )


async def _store(guard: Guard) -> dict[str, Any]:
    """Ask the store how it is: what it is, how quick, and how its clock compares with ours."""
    begun = time.perf_counter()
    now = await guard.store.ping()
    took = time.perf_counter() - begun
    return {
        "kind": guard.store.kind,
        "milliseconds": took * 1000,
        "drift": round(time.time() - now / 1000, 1),
        "living": await guard.living(),
    }


async def address(pages: Served, ask: Ask) -> Reply:
    """Show how the address of this very request was found, hop by hop."""
    visit = ask.visit
    settings = visit._guard.settings.client_ip
    return pages.page(
        ask,
        "admin/address.html",
        client_ip=visit.client_ip,
        network=visit._guard.network_of(visit.client_ip.address),
        trace=visit.client_ip.explain(),
        mode=settings.mode,
        trusted=settings.trusted_proxies,
        findings=visit._guard.resolver.check(),
    )
