"""Users of the server, and what is found out about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from redis_kit import everything, new

import zoo
from gatehound._sync import run_sync
from gatehound.clientip.check import Finding
from gatehound.errors import StoreUnavailable
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.finding import ACL_RULES, _probes, server_findings
from gatehound.stores.redis.wire import Wire

USERS = {
    "app": [">p@ss:w/rd", *ACL_RULES.split(), "+config|get"],
    "lean": [">pw", *ACL_RULES.split()],
    "reader": [">pw", "~gh:*", "+@read", "+@connection", "+info", "+time"],
    "deaf": [">pw", *ACL_RULES.split(), "-subscribe"],
    "elsewhere": [">pw", *ACL_RULES.replace("&gh:*", "&other:*").split()],
    "site": [">pw", "~gh:site:*", "resetchannels", "&gh:site:*", "+@all"],
}


@pytest.fixture(scope="module", params=["redis-6.2", zoo.SYSTEM, "valkey-8.1"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[zoo.Server]:
    with zoo.acl(tmp_path_factory.mktemp("acl"), USERS, kind=request.param) as server:
        yield server


def findings(url: str, prefix: bytes = b"gh:", offset: float = 0) -> dict[str, Finding]:
    async def whole() -> dict[str, Finding]:
        wire = Wire(url, suspends=True)
        try:
            found = await server_findings(wire, prefix=prefix, clock=lambda: time_of(url) - offset)
        finally:
            await wire.close()
        assert len({finding.code for finding in found}) == len(found)
        return {finding.code: finding for finding in found}

    return asyncio.run(whole())


def time_of(url: str) -> float:
    async def whole() -> float:
        wire = Wire(url, suspends=False)
        seconds, microseconds = await wire.call("TIME")
        await wire.close()
        return float(seconds + microseconds / 1e6)

    return run_sync(whole())


@pytest.mark.parametrize("suspends", [False, True])
def test_the_rules_that_are_advised_are_enough(guarded: zoo.Server, suspends: bool) -> None:
    url = f"redis://app:p%40ss%3Aw%2Frd@{guarded.place}/0"

    async def whole() -> None:
        store = RedisStore(url, namespace="own", suspends=suspends)
        await everything(store)
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())
    assert set(findings(url)) == {"store-not-saved"}
    guarded.ask("FLUSHALL")


def test_a_user_who_may_not_do_all_is_found(guarded: zoo.Server) -> None:
    found = findings(f"redis://reader:pw@{guarded.place}")
    assert found["store-commands-forbidden"].level == "danger"
    words = found["store-commands-forbidden"].text
    assert all(name in words for name in ("EVALSHA", "HSET", "HDEL", "XADD", "SET"))
    assert "HMGET" not in words
    assert "~gh:*" in found["store-commands-forbidden"].fix
    unreadable = found["store-config-unreadable"]
    assert unreadable.level == "note"
    assert "maxmemory-policy" in unreadable.text
    assert guarded.ask("DBSIZE") == 0


def test_a_user_of_one_namespace_is_asked_about_that(guarded: zoo.Server) -> None:
    url = f"redis://site:pw@{guarded.place}"
    assert set(findings(url, b"gh:site:")) == {"store-not-saved"}
    assert "HGET" in findings(url, b"gh:own:")["store-commands-forbidden"].text
    assert guarded.ask("DBSIZE") == 0


@pytest.mark.parametrize("user", ["deaf", "elsewhere"])
def test_a_user_who_may_not_listen_is_found(guarded: zoo.Server, user: str) -> None:
    found = findings(f"redis://{user}:pw@{guarded.place}")["store-commands-forbidden"]
    assert "SUBSCRIBE" in found.text
    assert ("PUBLISH" in found.text) == (user == "elsewhere")
    assert "HGET" not in found.text


def test_a_user_without_config_is_told_the_policy_all_the_same(guarded: zoo.Server) -> None:
    guarded.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        found = findings(f"redis://lean:pw@{guarded.place}")
    finally:
        guarded.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert found["store-evicts"].level == "danger"
    assert "allkeys-lru" in found["store-evicts"].text


def test_a_wrong_password_is_an_error_and_not_shown(guarded: zoo.Server) -> None:
    store = RedisStore(f"redis://app:s3cret@{guarded.place}", namespace="own", suspends=False)
    with pytest.raises(StoreUnavailable, match="refused") as caught:
        run_sync(store.create(new()))
    assert "s3cret" not in str(caught.value)
    run_sync(store.close())


def test_every_command_that_is_sent_is_tried() -> None:
    folder = files("gatehound.stores.redis")
    sources = [
        *folder.joinpath("scripts").iterdir(),
        *(entry for entry in folder.iterdir() if entry.name.endswith(".py")),
    ]
    sent: set[str] = set()
    for source in sources:
        if source.name == "finding.py":
            continue
        text = source.read_text("utf-8")
        sent |= set(re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", text))
        if source.name.endswith(".py"):
            sent |= set(re.findall(r"[(\[]\*?\(?\"([A-Z]{3,})\"", text))
    # How the way to the servers is found and kept, and what stands behind other commands.
    others = {"SENTINEL", "CLUSTER", "ROLE", "ASKING", "SUBSCRIBE", "PING", "MATCH"}
    tried = {str(probe[0]) for probe in _probes(b"")}
    assert {"HDEL", "EVALSHA", "XREVRANGE", "HMGET"} <= sent
    assert sent - tried - others - {"WITHSCORES", "INFO", "CONFIG", "ACL", "CONNECT"} == set()


# --- what servers are like ---


@pytest.mark.slow
@pytest.mark.parametrize("kind", zoo.KINDS)
def test_what_an_operator_should_know(kind: str, tmp_path: Path) -> None:
    def of(*options: str, offset: float = 0) -> dict[str, Finding]:
        with zoo.server(kind, tmp_path, *options) as server:
            return findings(server.url, offset=offset)

    assert of("--appendonly", "yes") == {}
    with zoo.server(kind, tmp_path) as saved:
        saved.ask("CONFIG", "SET", "save", "900 1")
        assert findings(saved.url) == {}
    assert of()["store-not-saved"].level == "warning"
    reads = of("--cluster-allow-reads-when-down", "yes")["store-reads-when-down"]
    assert reads.level == "danger"
    assert of("--maxmemory-policy", "volatile-lru")["store-evicts"].level == "danger"
    for offset, words in ((6, "6 s ahead of"), (-3600, "3600 s behind")):
        clock = of("--appendonly", "yes", offset=offset)
        assert set(clock) == {"store-clock-off"}
        assert words in clock["store-clock-off"].text
    assert of("--appendonly", "yes", offset=4) == {}


@pytest.mark.slow
def test_every_master_of_a_cluster_is_asked(server: Callable[[str], str]) -> None:
    found = findings(server("cluster"))
    assert set(found) == {"store-not-saved", "store-replicas-not-required"}
    required = found["store-replicas-not-required"]
    assert required.level == "note"
    assert required.text.count("127.0.0.1:") == 3
