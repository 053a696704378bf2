"""TLS: who is spoken to is checked, and a refusal says why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio
from puppet import pack
from redis_kit import load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.stores.answer import Standing
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.address import read_url
from gatehound.stores.redis.direct import Line
from gatehound.stores.redis.finding import server_findings
from gatehound.stores.redis.hot import READ_SIZE
from gatehound.stores.redis.wire import Wire

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def made(folder: Path) -> zoo.Certificates:
    return zoo.certificates(folder)


@pytest.fixture(scope="module")
def cluster(folder: Path, made: zoo.Certificates) -> Iterator[zoo.Cluster]:
    with zoo.tls_cluster(folder, made, masters=2) as running:
        yield running


def played(suspends: bool, body: Callable[[], Awaitable[Any]]) -> None:
    async def whole() -> None:
        await body()

    asyncio.run(whole()) if suspends else run_sync(whole())


both = pytest.mark.parametrize("suspends", [False, True])


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_store_over_tls(suspends: bool, host: str, folder: Path, made: zoo.Certificates) -> None:
    with zoo.tls(folder, made) as server:

        async def body() -> None:
            url = f"rediss://{host}:{server.port}/0?ssl_ca_certs={made.authority}"
            store = RedisStore(url, namespace="own", suspends=suspends)
            session = new()
            await store.create(session)
            assert (await load(store, session, 0)).standing is Standing.LIVE
            await store.close()

        played(suspends, body)


@both
def test_a_server_that_is_somebody_else_is_refused(
    suspends: bool, folder: Path, made: zoo.Certificates
) -> None:
    other = zoo.certificates(folder)
    foreign = zoo.certificates(folder, host="other.example")
    for certificates, authority, words in (
        (made, other.authority, "certificate verify failed"),
        (made, None, "certificate verify failed"),
        (foreign, foreign.authority, "IP address mismatch|not valid for '127.0.0.1'"),
    ):
        with zoo.tls(folder, certificates) as server:
            query = f"?ssl_ca_certs={authority}" if authority else ""
            wire = Wire(f"rediss://:s3cret@{server.place}{query}", suspends=suspends)

            async def body(wire: Wire = wire, words: str = words) -> None:
                with pytest.raises(StoreUnavailable, match=words) as caught:
                    await wire.call("PING")
                assert "s3cret" not in str(caught.value)
                await wire.close()

            played(suspends, body)


@both
def test_unverified_is_possible_and_found(
    suspends: bool, folder: Path, made: zoo.Certificates
) -> None:
    with zoo.tls(folder, made) as server:

        async def body() -> None:
            wire = Wire(f"rediss://{server.place}?ssl_cert_reqs=none", suspends=suspends)
            assert await wire.call("PING")
            codes = {finding.code for finding in await server_findings(wire)}
            assert "store-tls-unverified" in codes
            await wire.close()

        played(suspends, body)


@both
def test_a_client_shows_its_certificate(
    suspends: bool, folder: Path, made: zoo.Certificates
) -> None:
    with zoo.tls(folder, made, clients=True) as server:

        async def body() -> None:
            url = f"rediss://{server.place}?ssl_ca_certs={made.authority}"
            shown = f"&ssl_certfile={made.client}&ssl_keyfile={made.client_key}"
            wire = Wire(url + shown, suspends=suspends)
            assert await wire.call("PING")
            await wire.close()
            without = Wire(url, suspends=suspends)
            with pytest.raises(StoreUnavailable):
                await without.call("PING")
            await without.close()

        played(suspends, body)


@both
def test_a_cluster_over_tls(suspends: bool, cluster: zoo.Cluster, made: zoo.Certificates) -> None:
    async def body() -> None:
        url = f"rediss+cluster://{cluster.servers[3].place}?ssl_ca_certs={made.authority}"
        wire = Wire(url, suspends=suspends)
        keys = [b"{1bz}a", b"{kin}a", b"{45c}a"]
        assert await wire.batch([("SET", key, 1) for key in keys]) == [True] * 3
        assert len(await wire.masters()) == 2
        if suspends:
            assert await wire.messages(b"channel", 0.05) is None
            cluster.servers[1].ask("PUBLISH", "channel", "hello")
            assert await wire.messages(b"channel", 5) == [b"hello"]
        await wire.close()

    played(suspends, body)


def test_sentinels_are_spoken_to_as_their_servers_are(made: zoo.Certificates) -> None:
    url = (
        "rediss+sentinel://app:one@a,b:7/main/3?sentinel_username=look&sentinel_password=two"
        f"&ssl_ca_certs={made.authority}&client_name=web"
    )
    for connection in (redis.connection, redis.asyncio.connection):
        target = read_url(url, connection)
        shared = {
            "connection_class": connection.SSLConnection,
            "ssl_ca_certs": str(made.authority),
            "ssl_check_hostname": True,
        }
        own = {"username": "app", "password": "one", "db": 3, "client_name": "web"}
        assert target.options == {**shared, **own}
        assert target.watch == {**shared, "username": "look", "password": "two"}
        assert "one" not in repr(target)
        assert "two" not in repr(target)


def test_a_stray_reply_in_the_rest_of_a_record_is_seen(made: zoo.Certificates) -> None:
    """What TLS has read is no longer at the socket, and would answer the next question."""
    here, there = socket.socketpair()
    here.settimeout(5)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(made.server, made.server_key)
    ours = ssl.create_default_context(cafile=made.authority)
    ours.maximum_version = ssl.TLSVersion.TLSv1_2  # no tickets, which redis-py reads before us
    answer = pack(b"a" * (READ_SIZE - len("$8000\r\n\r\n")))
    assert len(answer) == READ_SIZE

    def serve() -> None:
        with theirs.wrap_socket(there, server_side=True) as spoken:
            spoken.recv(READ_SIZE)
            spoken.sendall(answer + pack(b"stray"))
            spoken.recv(READ_SIZE)

    server = threading.Thread(target=serve)
    server.start()
    with ours.wrap_socket(here, server_hostname="localhost") as sock:
        parser = SimpleNamespace(parse_error=redis.exceptions.ResponseError)
        line = Line(SimpleNamespace(_sock=sock, _parser=parser), redis.exceptions)
        assert len(line.ask(b"a question", 1)[0]) == len(answer) - len("$8000\r\n\r\n")
        assert not line.is_idle
    server.join()
