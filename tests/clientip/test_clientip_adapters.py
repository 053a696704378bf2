"""What an app finds behind ClientIPMiddleware, through both adapters: the answer, and `apply`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from adapter_kit import RESOLVER, WORLDS, Asgi, Lines, World, Wsgi

from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip.current import KEY
from gatehound.errors import UsageError

CHAIN: Lines = [("x-forwarded-for", "198.51.100.66, 203.0.113.7, 10.0.0.2")]
PLAIN: Lines = [("accept", "text/html"), ("cookie", "a=1")]

both = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


# --- the answer ---


@both
def test_the_answer_is_there_and_nothing_else_is_touched(world: World) -> None:
    request = world.request("10.0.0.1", [*PLAIN, *CHAIN])
    before = dict(request)
    found = world.run(request, world.wrap())
    assert str(found.answer.address) == "203.0.113.7"
    assert found.raw is request
    replaced = {key: request[key] for key in ("wsgi.input", "wsgi.errors") if key in request}
    assert request == before | {KEY: found.answer} | replaced  # the validator wraps the streams


def test_a_websocket_has_an_answer_too() -> None:
    world = Asgi()
    found = world.ask(world.wrap(), peer="10.0.0.1", lines=CHAIN, kind="websocket")
    assert str(found.answer.address) == "203.0.113.7"


@pytest.mark.parametrize("options", [{}, {"apply": True, "strip": True}])
def test_other_scopes_pass_untouched(options: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    scope, receive, send = {"type": "lifespan", "state": {}}, object(), object()
    middleware: Any = Asgi().wrap(**options)(app)
    asyncio.run(middleware(scope, receive, send))
    assert [id(one) for one in seen] == [id(scope), id(receive), id(send)]
    assert scope == {"type": "lifespan", "state": {}}


@both
def test_wrapped_twice_each_answers_by_its_own_resolver(world: World) -> None:
    """An answer of a resolver that is set up otherwise says nothing; that was applied, all."""
    blind = world.wrap(ClientIPResolver())
    found = world.ask(world.wrap(), blind, peer="10.0.0.1", lines=CHAIN)
    assert (found.answer.text, found.answer.reason) == ("10.0.0.1", "direct")
    found = world.ask(blind, world.wrap(), peer="10.0.0.1", lines=CHAIN)
    assert found.answer.text == "203.0.113.7"
    found = world.ask(world.wrap(apply=True), blind, peer="10.0.0.1", lines=CHAIN)
    assert found.answer.text == "203.0.113.7"


@both
@pytest.mark.parametrize("outer", [{"apply": True}, {"apply": True, "strip": True}])
def test_wrapped_twice_the_inner_one_does_what_it_was_told(
    world: World, outer: dict[str, Any]
) -> None:
    inner = world.wrap(ClientIPResolver(), apply=True, strip=True)
    found = world.ask(world.wrap(**outer), inner, peer="10.0.0.1", lines=CHAIN)
    once = world.ask(world.wrap(apply=True, strip=True), peer="10.0.0.1", lines=CHAIN)
    assert found.peer == once.peer == "203.0.113.7"
    assert found.headers == once.headers
    assert found.kept == once.kept


@both
def test_another_thing_under_our_key_is_not_believed(world: World) -> None:
    request = world.request("10.0.0.1", CHAIN) | {KEY: "198.51.100.66"}
    assert str(world.run(request, world.wrap()).answer.address) == "203.0.113.7"


@both
def test_an_exception_of_the_app_comes_out_as_it_is(world: World) -> None:
    boom = KeyError("the app's own")

    def fail(*given: Any) -> Any:
        raise boom

    with pytest.raises(KeyError) as caught:
        world.ask(world.wrap(), lambda app: fail, peer="10.0.0.1")
    assert caught.value is boom


# --- apply ---

UNKNOWN = object()


@both
@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        ("10.0.0.1", CHAIN, "203.0.113.7"),
        ("10.0.0.1", [("x-forwarded-for", "2001:DB8::7")], "2001:db8::7"),
        ("10.0.0.1", [("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
        ("192.0.2.1", CHAIN, "192.0.2.1"),
        ("", CHAIN, "203.0.113.7"),
        ("10.0.0.1", [], UNKNOWN),
        ("10.0.0.1", [("x-forwarded-for", "203.0.113.7, junk")], UNKNOWN),
        ("junk", CHAIN, UNKNOWN),
    ],
)
def test_apply_writes_the_address_and_keeps_the_peer(
    world: World, peer: str, lines: Lines, expected: object
) -> None:
    found = world.ask(world.wrap(apply=True), peer=peer, lines=lines)
    assert found.peer == (world.no_peer if expected is UNKNOWN else expected)
    original = (peer, 4711) if isinstance(world, Asgi) else peer
    key = "gatehound.peer" if isinstance(world, Asgi) else "gatehound.remote_addr"
    assert found.kept == {key: original}
    assert found.headers == world.ask(world.wrap(), peer=peer, lines=lines).headers


@both
def test_apply_keeps_that_the_server_named_no_peer(world: World) -> None:
    found = world.ask(world.wrap(apply=True), peer=None, lines=CHAIN)
    assert found.peer == "203.0.113.7"
    assert list(found.kept.values()) == [None]


def test_apply_removes_what_else_an_environ_says_of_the_peer() -> None:
    world = Wsgi()
    assert {"REMOTE_PORT", "REMOTE_HOST"} <= world.ask(world.wrap(), peer="10.0.0.1").raw.keys()
    environ = world.ask(world.wrap(apply=True), peer="10.0.0.1", lines=CHAIN).raw
    assert not {"REMOTE_PORT", "REMOTE_HOST"} & environ.keys()


@pytest.mark.parametrize("options", [{"apply": True}, {"strip": True}])
def test_the_servers_own_scope_stays_as_it_was(options: dict[str, Any]) -> None:
    world = Asgi()
    scope = world.request("10.0.0.1", [*PLAIN, *CHAIN])
    before, headers = dict(scope), list(scope["headers"])
    found = world.run(scope, world.wrap(**options))
    assert scope == before
    assert scope["headers"] == headers
    assert found.raw["state"] is scope["state"]  # shallow: what apps share stays shared
    assert (found.raw["headers"] is scope["headers"]) == ("strip" not in options)


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_apply_writes_scheme_and_host_where_the_answer_has_them(
    world: World, kind: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClientIP, "scheme", property(lambda answer: scheme))
    monkeypatch.setattr(ClientIP, "host", property(lambda answer: "shop.test"))
    lines = [*PLAIN, ("Host", "two.test")] if isinstance(world, Asgi) else PLAIN
    found = world.ask(world.wrap(apply=True), peer="10.0.0.1", lines=lines, kind=kind)
    assert found.headers == {"host": "shop.test", **dict(PLAIN)}
    wanted = {"http": "ws", "https": "wss"}[scheme] if found.raw.get("type") == "websocket" else ""
    assert found.scheme == (wanted or scheme)
    plain = world.ask(world.wrap(), peer="10.0.0.1", kind=kind)
    assert found.kept["gatehound.peer_scheme"] == plain.scheme
    assert found.kept["gatehound.peer_host"] == plain.headers["host"]


@both
def test_apply_keeps_that_there_was_no_host(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientIP, "scheme", property(lambda answer: None))
    monkeypatch.setattr(ClientIP, "host", property(lambda answer: "shop.test"))
    request = world.request("10.0.0.1", CHAIN)
    if isinstance(world, Asgi):
        request["headers"] = request["headers"][1:]
    else:
        del request["HTTP_HOST"]
    found = world.run(request, world.wrap(apply=True))
    assert found.headers["host"] == "shop.test"
    assert found.kept["gatehound.peer_host"] is None
    assert "gatehound.peer_scheme" not in found.kept


# --- construction ---


@both
@pytest.mark.parametrize("given", [None, {"mode": "auto"}, "auto", ClientIPResolver])
def test_a_resolver_that_is_none_is_refused_with_the_fix(world: World, given: Any) -> None:
    with pytest.raises(UsageError, match=r"resolver: .* is not allowed; write .*ClientIPResolver"):
        world.Middleware(print, given)


@both
@pytest.mark.parametrize("name", ["apply", "strip"])
def test_an_option_that_is_no_bool_is_refused(world: World, name: str) -> None:
    options: Any = {name: "yes"}
    with pytest.raises(UsageError, match=f"{name}: 'yes' is not allowed; write True or False"):
        world.Middleware(print, RESOLVER, **options)


LOAD = """
import sys
import gatehound.clientip
before = {*sys.modules}
print(sorted({ADAPTERS} & before))
import gatehound.clientip.asgi, gatehound.clientip.wsgi, gatehound.clientip.rate
import gatehound.clientip.logs
print(sorted({"asyncio", "starlette", "redis", "msgspec"} & {*sys.modules}))
print(sorted({ADAPTERS} - {*sys.modules}))
print(sorted({".".join(name.split(".")[:2]) for name in sys.modules if name[:9] == "gatehound"}))
"""


def test_the_adapters_are_loaded_only_when_asked_for_and_are_light() -> None:
    names = ("applied", "asgi", "current", "logs", "rate", "wsgi")
    code = LOAD.replace("{ADAPTERS}", str({f"gatehound.clientip.{one}" for one in names}))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = ["gatehound", "gatehound.clientip", "gatehound.errors"]
    assert done.stdout.splitlines() == ["[]", "[]", "[]", str(ours)]
