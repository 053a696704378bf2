"""Checks of a store: a clock that steps back, around what ends everybody's sessions."""

from __future__ import annotations

from gatehound.model import EndReason
from gatehound.stores.answer import Created, Standing
from gatehound.testing.bench import DAY, HOUR, Bench, equal, standing


async def check_revoke_everyone_with_a_clock_that_steps_back(bench: Bench) -> None:
    """Who signs in after it is let in at once; whoever signed in by a clock ahead is not."""
    bench.clock.advance(ms=2 * HOUR)
    ahead = await bench.login(idle=DAY, absolute=DAY)
    bench.clock.advance(ms=-HOUR)
    before = await bench.login(idle=DAY, absolute=DAY)
    await bench.store.revoke_everyone()
    for when in ("at the call", "an hour before the call"):
        for new, which in ((ahead, "by a clock that was ahead"), (before, "right before the call")):
            answer = await bench.load(new)
            standing(answer, Standing.ENDED, f"a session made {which}, {when}")
            assert answer.ended is not None, "ENDED has to carry the tombstone"
            equal(answer.ended.reason, EndReason.EVERYONE, f"reason, {when}")
        later = await bench.login()
        standing(await bench.load(later), Standing.LIVE, f"a login after it, {when}")
        equal(await bench.search(alias=later.alias), {later.sid}, f"search, {when}")
        equal(await bench.elsewhere(lambda new=later: bench.lives(new)), True, "another thread")  # type: ignore[misc]  # a lambda in a loop
        bench.clock.advance(ms=-HOUR)
    equal(await bench.store.revoke_everyone(), 2, "how many ended at the second call")
    equal(await bench.search(), set(), "search after the second call")
    standing(await bench.load(await bench.login()), Standing.LIVE, "a login after that")


async def check_a_copy_after_a_clock_that_stepped_back(bench: Bench) -> None:
    """What a copy says is over must not lie ahead of every clock: it would end new logins too."""
    gone = await bench.login()
    calls = 5
    for _ in range(calls):
        await bench.store.revoke_everyone()
    highest = bench.clock()
    bench.clock.advance(ms=-HOUR)
    since = [await bench.login() for _ in range(2)]
    pages = [await bench.store.dump()]
    while pages[-1].cursor:
        pages.append(await bench.store.dump(pages[-1].cursor))
    for page in pages:
        # A store may tell the calls of one millisecond apart by the moment alone.
        assert 0 < page.not_before <= highest + calls, (
            f"not_before: expected at most {highest}, and a millisecond a call, got "
            f"{page.not_before}"
        )
    first, fresh = bench.store, await bench.another()
    for bench.store, name in ((fresh, "a fresh store"), (first, "the same store")):
        for page in pages:
            await bench.store.restore(page)
        for later in since:
            equal(await bench.lives(later), True, f"a session since, in {name}")
        equal(await bench.lives(gone), False, f"a session from before, in {name}")
        new = bench.new()
        equal(type(await bench.store.create(new)), Created, f"a login in {name}")
        equal(await bench.lives(new), True, f"who signed in to {name}")
