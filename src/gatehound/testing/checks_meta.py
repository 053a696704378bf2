"""Checks of a store: its clock, its meta record, and closing it."""

from __future__ import annotations

from msgspec.structs import replace

from gatehound.errors import StoreMismatch
from gatehound.testing.bench import META, Bench, equal


async def check_ping_tells_the_time(bench: Bench) -> None:
    equal(await bench.store.ping(), bench.clock(), "ping")
    bench.clock.advance(1)
    equal(await bench.store.ping(), bench.clock(), "ping, a second later")


async def check_prepare_again_changes_nothing(bench: Bench) -> None:
    new = await bench.login()
    await bench.store.prepare(META)
    equal(await bench.lives(new), True, "a session after prepare was called again")


async def _mismatch(bench: Bench, **changes: object) -> str:
    try:
        await bench.store.prepare(replace(META, **changes))
    except StoreMismatch as error:
        return str(error)
    raise AssertionError(f"expected StoreMismatch for {changes}")


async def check_mismatch_names_what_differs(bench: Bench) -> None:
    cases: tuple[tuple[dict[str, object], set[str]], ...] = (
        ({"fingerprint": b"g" * 16}, {"identity_key"}),
        ({"namespace": "other"}, {"namespace"}),
        ({"layout": META.layout + 1}, {"layout"}),
        ({"fingerprint": b"g" * 16, "layout": META.layout + 1}, {"identity_key", "layout"}),
    )
    words = {"identity_key", "namespace", "layout"}
    for changes, expected in cases:
        text = await _mismatch(bench, **changes)
        named = {word for word in words if word in text}
        equal(named, expected, f"what {text!r} names, for {changes}")
    await bench.store.prepare(META)


async def check_close_is_allowed_at_any_time(bench: Bench) -> None:
    await bench.store.close()
    new = await bench.login()
    await bench.store.close()
    await bench.store.close()
    equal(await bench.lives(new), True, "a session after the store was closed and used again")


async def check_other_threads_and_loops_see_the_same(bench: Bench) -> None:
    new = await bench.login()
    equal(await bench.elsewhere(lambda: bench.lives(new)), True, "here, then elsewhere")
    other = await bench.elsewhere(bench.login)
    equal(await bench.lives(other), True, "elsewhere, then here")
