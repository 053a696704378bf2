"""Checks of a store: app data, field by field."""

from __future__ import annotations

from gatehound.model import EndReason
from gatehound.stores.rule import MAX_DATA_FIELDS, MAX_DATA_NAME_BYTES, MAX_DATA_VALUE_BYTES
from gatehound.testing.bench import Bench, equal, refuses

MOST = 2**63 - 1
LEAST = -(2**63)


async def check_data_goes_in_and_out_unchanged(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    values = {"a": b"", "b": bytes(range(256)), "naïve 😀": b"x", "@u": b"1", "with space": b"\n"}
    equal(await bench.store.data_get(*ids), {}, "all fields at first")
    equal(await bench.store.data_set(*ids, values), True, "data_set")
    equal(await bench.store.data_get(*ids), values, "all fields")
    equal(await bench.store.data_get(*ids, ["b", "gone"]), {"b": values["b"]}, "some fields")
    equal(await bench.store.data_get(*ids, []), {}, "no fields asked for")
    equal(await bench.store.data_get(*ids, {"naïve 😀"}), {"naïve 😀": b"x"}, "a set of names")


async def check_data_set_leaves_the_others(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    await bench.store.data_set(*ids, {"a": b"1", "b": b"2"})
    equal(await bench.store.data_set(*ids, {"b": b"3", "c": b"4"}), True, "data_set")
    equal(await bench.store.data_set(*ids, {}), True, "data_set of nothing")
    equal(await bench.store.data_get(*ids), {"a": b"1", "b": b"3", "c": b"4"}, "all fields")


async def check_data_belongs_to_one_session(bench: Bench) -> None:
    new = await bench.login()
    await bench.store.data_set(new.alias, new.sid, {"a": b"1"})
    sibling, stranger = await bench.login(alias=new.alias), await bench.login()
    for other in (sibling, stranger):
        equal(await bench.store.data_get(other.alias, other.sid), {}, "another session")
    equal(await bench.store.data_get(stranger.alias, new.sid), {}, "another user, this sid")


async def check_data_delete(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    await bench.store.data_set(*ids, {"a": b"1", "b": b"", "c": b"3"})
    equal(await bench.store.data_delete(*ids, ["a", "b", "gone"]), 2, "how many were there")
    equal(await bench.store.data_delete(*ids, ["a"]), 0, "how many were there, again")
    equal(await bench.store.data_delete(*ids, []), 0, "nothing to delete")
    equal(await bench.store.data_get(*ids), {"c": b"3"}, "all fields")
    equal(await bench.store.data_set(*ids, {"a": b"again"}), True, "set again")
    equal(await bench.store.data_get(*ids, ["a"]), {"a": b"again"}, "set again")


async def check_data_incr(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    equal(await bench.store.data_incr(*ids, "n"), 1, "an absent field is 0")
    equal(await bench.store.data_incr(*ids, "n", 41), 42, "by 41")
    equal(await bench.store.data_incr(*ids, "n", -50), -8, "by -50")
    equal(await bench.store.data_incr(*ids, "n", 0), -8, "by 0")
    equal(await bench.store.data_get(*ids), {"n": b"-8"}, "stored as a decimal integer")
    await bench.store.data_set(*ids, {"n": b"100"})
    equal(await bench.store.data_incr(*ids, "n"), 101, "after it was set")


async def check_data_incr_refuses_what_is_no_integer(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    for value in (b"abc", b"1.5", b"", b" 1", b"1 ", b"1e3", b"0x1", b"\xff", b"--1", b"1\x00"):
        await bench.store.data_set(*ids, {"n": value})
        await refuses(bench.store.data_incr(*ids, "n"), f"incr of {value!r}")
        equal(await bench.store.data_get(*ids), {"n": value}, "the field after it")


async def check_data_incr_keeps_64_bits(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    exact = ((2**53 + 1, 2), (MOST - 1, 1), (LEAST + 1, -1), (-1, MOST), (0, LEAST), (MOST, -MOST))
    for value, by in exact:
        await bench.store.data_set(*ids, {"n": b"%d" % value})
        equal(await bench.store.data_incr(*ids, "n", by), value + by, f"{value} + {by}")
        equal(await bench.store.data_get(*ids), {"n": b"%d" % (value + by)}, "stored")
    for value, by in ((MOST, 1), (LEAST, -1), (1, MOST), (-2, LEAST), (0, MOST + 1), (0, 2**80)):
        await bench.store.data_set(*ids, {"n": b"%d" % value})
        await refuses(bench.store.data_incr(*ids, "n", by), f"{value} + {by}")
        equal(await bench.store.data_get(*ids), {"n": b"%d" % value}, "the field after it")


async def check_data_names_and_values_are_bounded(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    longest, largest = "é" * (MAX_DATA_NAME_BYTES // 2), b"\xff" * MAX_DATA_VALUE_BYTES
    equal(await bench.store.data_set(*ids, {longest: largest}), True, "as large as may be")
    equal(await bench.store.data_get(*ids), {longest: largest}, "as large as may be")
    for name, value in ((longest + "x", b"1"), ("", b"1"), ("a", largest + b"x")):
        bad = {"good": b"1", name: value}
        await refuses(bench.store.data_set(*ids, bad), f"{len(name)} and {len(value)}")
    for name in (longest + "x", ""):
        await refuses(bench.store.data_incr(*ids, name), f"incr of a name of {len(name)}")
    equal(await bench.store.data_get(*ids), {longest: largest}, "nothing else was set")


async def check_data_fields_are_bounded(bench: Bench) -> None:
    new = await bench.login()
    ids = (new.alias, new.sid)
    full = {f"f{number}": b"1" for number in range(MAX_DATA_FIELDS)}
    equal(await bench.store.data_set(*ids, full), True, "256 fields")
    equal(await bench.store.data_set(*ids, {"f0": b"2"}), True, "one that is there")
    equal(await bench.store.data_incr(*ids, "f1"), 2, "incr of one that is there")
    await refuses(bench.store.data_set(*ids, {"f0": b"3", "one more": b"1"}), "257 fields")
    await refuses(bench.store.data_incr(*ids, "one more"), "incr of the 257th field")
    equal(await bench.store.data_get(*ids), full | {"f0": b"2", "f1": b"2"}, "all fields")
    await bench.store.data_delete(*ids, ["f2"])
    equal(await bench.store.data_set(*ids, {"one more": b"1"}), True, "one, where one went")


async def check_data_goes_with_its_session(bench: Bench) -> None:
    for end in ("revoke", "expire"):
        new = await bench.login()
        ids = (new.alias, new.sid)
        await bench.store.data_set(*ids, {"a": b"1"})
        if end == "revoke":
            await bench.store.revoke(new.alias, only=new.sid, reason=EndReason.LOGOUT)
        else:
            bench.clock.advance(2 * 3600)
        equal(await bench.store.data_get(*ids), {}, f"all fields after {end}")
        equal(await bench.store.data_get(*ids, ["a"]), {}, f"one field after {end}")


async def check_data_survives_time_and_touch(bench: Bench) -> None:
    new = await bench.login()
    await bench.store.data_set(new.alias, new.sid, {"a": b"1"})
    for _ in range(12):
        bench.clock.advance(55 * 60)
        await bench.load(new, touch=0)
    equal(await bench.store.data_get(new.alias, new.sid), {"a": b"1"}, "after 11 hours")
