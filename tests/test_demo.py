"""The demo: the story it tells, the faults that the story must find, and each page and form."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from gatehound import LoginRefused, Visit
from gatehound._sync import run_sync
from gatehound.cli.demo import app, edge, replay, server
from gatehound.cli.demo.browser import Browser, Exchange, shortened
from gatehound.cli.demo.server import Trouble, built, listen, run_demo, served
from gatehound.cli.demo.story import SCENES, run_check
from gatehound.cli.demo.words import ago, span, until
from gatehound.cli.demo.world import (
    CHROME,
    HOME,
    LIBRARY,
    MOBILE,
    NEARBY,
    OFFERED,
    OFFICE,
    PLACES,
    place_in,
)
from gatehound.detection import Networks, ScriptClient
from make_demo_databases import NETWORKS, make

FORMS = ("/sign-out", "/end", "/end-others", "/confirm", "/move", "/elsewhere", "/replay")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with served(tmp_path_factory.mktemp("demo")) as bound:
        yield bound


@pytest.fixture
def alice(here: tuple[str, int]) -> Iterator[Browser]:
    browser = Browser(here, CHROME, HOME)
    browser.post("/sign-in", {"user": "alice", "place": "home"})
    yield browser
    submit(browser, "/end-others")
    submit(browser, "/sign-out")


def test_start_warns_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="gatehound"), built(tmp_path, ("127.0.0.1", 8000)):
        assert caplog.messages == []
    logging.getLogger("gatehound").warning("development mode: of another guard")
    assert len(caplog.messages) == 1  # what is held back is the demo's own line alone


def token(browser: Browser, path: str) -> str:
    form = rf'action="{path}">\s*<input type="hidden" name="csrf" value="([^"]+)">'
    found = re.search(form, browser.get("/").body)
    return found[1] if found else ""


def submit(browser: Browser, path: str, **fields: str) -> Exchange:
    return browser.post(path, {"csrf": token(browser, path), **fields})


def who(browser: Browser) -> dict[str, Any]:
    told: dict[str, Any] = browser.get("/who").json()
    return told


# --- the story ---


@pytest.mark.slow
def test_check_holds_and_tells_the_story() -> None:
    lines: list[str] = []
    assert run_check(lines.append) == 0
    told = "\n".join(lines)
    assert "FAILED" not in told
    for statement in (
        "A sees two sessions",
        "B is told why: You ended this session from another device.",
        "the forged cookie opens nothing",
        "the address does not move",
        "verdict record at 1.6 points",
        "script_client: Used by a program instead of a browser",
        "You signed in again, and this session made room for the new one.",
        "because: You signed out.",
    ):
        assert statement in told
    replayed = told.partition("== Alice says")[0]
    assert "  > User-Agent: python-requests" not in replayed, "that request is the server's own"
    assert "  > X-Forwarded-For: 198.51.100.99, 8.8.8.8" in lines
    assert "  < HTTP/1.1 303 See Other" in lines
    assert not re.search(r"gatehound=[A-Za-z0-9_-]{13}", told), "a cookie value was told in full"
    counted = sum(line.startswith("ok ") for line in lines)
    assert re.fullmatch(rf"{counted} checks, 0 failed in \d+\.\d s", lines[-1])
    assert sum("== " in line for line in lines) == len(SCENES)


async def _true(*_: Any, **__: Any) -> bool:
    return True


FAULTS: dict[str, tuple[Any, str, Any, str]] = {
    "ending a session does nothing": (Visit, "terminate", _true, "B is signed out"),
    "any CSRF token is good": (Visit, "check_csrf", lambda *_: True, "valid token"),
    "signing out does nothing": (Visit, "logout", _true, "the cookie is removed"),
    "confirming does nothing": (Visit, "confirm", _true, "no longer suspicious"),
    "programs go unseen": (ScriptClient, "inspect", lambda *_: [], "script_client"),
    "everybody is at home": (edge, "place_in", lambda _: HOME, "network_changed"),
    "forms cannot be sent": (
        Browser,
        "post",
        lambda *_: (_ for _ in ()).throw(OSError("planted")),
        "could be played",
    ),
    "the policy is empty": (
        app,
        "HEADERS",
        {"Content-Security-Policy": "script-src *"},
        "allows no script",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_check_finds_a_planted_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    owner, name, planted, statement = FAULTS[fault]
    monkeypatch.setattr(owner, name, planted)
    lines: list[str] = []
    assert run_check(lines.append) == 1
    failed = [line for line in lines if line.startswith("FAILED")]
    assert any(statement in line for line in failed), failed
    assert not lines[-1].split(", ")[1].startswith("0 ")


def test_check_fails_where_the_demo_cannot_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, port: int) -> None:
        raise Trouble(f"{host}:{port} is busy")

    monkeypatch.setattr(server, "listen", refuse)
    lines: list[str] = []
    assert run_check(lines.append) == 1
    (told,) = lines
    assert told.startswith("FAILED  the demo could not be served: no free port found on 127.0.0.1")


# --- pages ---


def test_sign_in_page_offers_users_and_networks(here: tuple[str, int]) -> None:
    page = Browser(here, CHROME, HOME).get("/")
    assert page.status == 200
    for text in ("Alice", "Bob", *(place.title for place in OFFERED)):
        assert text in page.body
    assert "A rented server" not in page.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/who", 200),
        ("GET", "/static/demo.css", 200),
        ("GET", "/static/icon.svg", 200),
        ("GET", "/static/app.py", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/sign-in", 403),
        ("POST", "/end", 303),
    ],
)
def test_every_answer_has_the_policy(
    here: tuple[str, int], method: str, path: str, status: int
) -> None:
    answer = Browser(here, CHROME, HOME).ask(method, path)
    policy = answer.header("content-security-policy")
    assert answer.status == status
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.header("x-content-type-options") == "nosniff"


def test_main_page_shows_the_visit(alice: Browser) -> None:
    page = alice.get("/").body
    for text in (
        "203.0.113.24",
        "Berlin, DE",
        "Example Fibre",
        "AS64496",
        "x-forwarded-for[-1]",
        "Chrome on Windows",
        "This device",
        "in 12 hours at the latest",
        "session_created",
        "What is played here, and what is real",
    ):
        assert text in page
    assert "Suspicious" not in page


def test_pages_have_no_script_and_no_inline_style(alice: Browser) -> None:
    submit(alice, "/replay", thief="careless")
    for page in (alice.get("/").body, Browser(alice.here, CHROME, HOME).get("/").body):
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", page)


@pytest.mark.parametrize(
    "agent",
    [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)> Chrome/140.0 <b>'",
        "{{ 7 * 7 }} {% raw %} Firefox/143.0",
        "x" * 9000,
        "",
    ],
)
def test_a_hostile_agent_is_escaped(here: tuple[str, int], agent: str) -> None:
    visitor = Browser(here, agent, HOME)
    assert visitor.post("/sign-in", {"user": "bob"}).status == 303
    submit(visitor, "/replay", thief="careful")
    page = visitor.get("/").body
    assert "Example Fibre" in page
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert "{{ 7 * 7 }}" in page if "7 * 7" in agent else "49" not in agent
    assert max(map(len, page.split("\n"))) < 3000
    submit(visitor, "/sign-out")


def test_a_hostile_place_cookie_is_home() -> None:
    assert place_in("demo_place=<b>; demo_place=office").key == "home"
    assert place_in("a=b; demo_place=office").key == "office"
    assert place_in("").key == "home"


def test_a_signed_out_visitor_is_told_so(here: tuple[str, int]) -> None:
    assert "You signed out." in Browser(here, CHROME, HOME).get("/?signed-out").body


# --- forms ---


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("kind", ["none", "made up", "of another form", "not a form"])
def test_a_form_without_its_token_does_nothing(alice: Browser, path: str, kind: str) -> None:
    before = who(alice)
    other = "/move" if path != "/move" else "/end-others"
    given = {
        "none": {},
        "made up": {"csrf": "é" * 40},
        "of another form": {"csrf": token(alice, other)},
    }
    fields = given.get(kind, {"csrf": "x" * app.MAX_FORM})
    answer = alice.post(path, fields)
    assert answer.status == 403
    assert "nothing was done" in answer.body
    assert who(alice) == before


def test_a_form_of_another_session_does_nothing(alice: Browser) -> None:
    bob = Browser(alice.here, CHROME, OFFICE)
    bob.post("/sign-in", {"user": "bob", "place": "office"})
    answer = alice.post("/move", {"csrf": token(bob, "/move"), "place": "library"})
    assert answer.status == 403
    assert not answer.header("set-cookie")
    submit(bob, "/sign-out")


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_nobody_leads_to_the_sign_in_page(here: tuple[str, int], path: str) -> None:
    answer = Browser(here, CHROME, HOME).post(path)
    assert (answer.status, answer.header("location")) == (303, "/")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": ""},
        {"user": "mallory"},
        {"user": "<b>"},
        {"user": "alice\x00"},
        {"user": "a" * 900},
    ],
)
def test_an_unknown_user_is_not_signed_in(here: tuple[str, int], fields: dict[str, str]) -> None:
    visitor = Browser(here, CHROME, HOME)
    answer = visitor.post("/sign-in", fields)
    assert answer.status == 403
    assert "gatehound" not in visitor.jar
    assert who(visitor)["user"] is None


def _raw_form(browser: Browser, body: list[bytes]) -> int:
    """Send chunks, whose length no header says; return the status."""
    link = HTTPConnection(*browser.here, timeout=10)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    headers = {"Cookie": cookie, "User-Agent": browser.agent}
    link.request("POST", "/move", iter(body), headers, encode_chunked=True)
    status = link.getresponse().status
    link.close()
    return status


def test_only_a_short_urlencoded_form_is_read(alice: Browser) -> None:
    good = f"place=home&csrf={token(alice, '/move')}".encode()
    assert _raw_form(alice, [good[:9], good[9:]]) == 303
    assert _raw_form(alice, [good, b"&more=" + b"x" * app.MAX_FORM]) == 403
    assert _raw_form(alice, [good, b"&more=\xff"]) == 403
    assert _raw_form(alice, [good, b"&a=1" * 30]) == 403


def test_a_refused_login_is_explained(
    here: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **named: Any) -> None:
        raise LoginRefused("disabled", "this user is disabled")

    monkeypatch.setattr(Visit, "login", refuse)
    answer = Browser(here, CHROME, HOME).post("/sign-in", {"user": "alice"})
    assert answer.status == 403
    assert "this user is disabled" in answer.body


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("https://{host}", 403), ("http://{host}", 303)],
)
def test_another_site_cannot_sign_anybody_in(
    here: tuple[str, int], origin: str, status: int
) -> None:
    visitor = Browser(here, CHROME, HOME)
    sent = {"Origin": origin.format(host=f"{here[0]}:{here[1]}")}
    assert visitor.ask("POST", "/sign-in", {"user": "bob"}, sent).status == status
    assert ("gatehound" in visitor.jar) is (status == 303)
    if status == 303:
        submit(visitor, "/sign-out")


def test_a_move_is_recorded_and_ends_nothing(alice: Browser) -> None:
    assert submit(alice, "/move", place="mobile").header("location") == "/"
    alice.place = MOBILE  # this browser says by itself where it is
    told = who(alice)
    assert (told["user"], told["address"], told["action"]) == ("alice", MOBILE.address, "record")
    assert [one["code"] for one in told["signals"]] == ["network_changed"]


def test_other_devices_are_played_and_ended(alice: Browser) -> None:
    submit(alice, "/elsewhere", device="phone")
    submit(alice, "/elsewhere", device="library")
    submit(alice, "/elsewhere", device="toaster")
    devices = {one["device"]: one for one in who(alice)["sessions"]}
    assert set(devices) == {"Safari on iPhone", "Firefox on Linux", "Chrome on Windows"}
    submit(alice, "/end", session=devices["Safari on iPhone"]["public_id"])
    submit(alice, "/end", session="no such")
    assert len(who(alice)["sessions"]) == 2
    submit(alice, "/end-others")
    assert [one["current"] for one in who(alice)["sessions"]] == [True]


@pytest.mark.parametrize(
    ("thief", "texts"),
    [
        ("careless", ("notify", "script_client", "python-requests/2.32.5", "never ends a session")),
        ("careful", ("record", "network_changed", "The thief was let in.", "hamburg")),
        ("forged", ("Opened nothing.", "The signature did not verify", "look at the terminal")),
    ],
)
def test_the_page_shows_what_came_of_the_thief(
    alice: Browser, thief: str, texts: tuple[str, ...]
) -> None:
    assert submit(alice, "/replay", thief=thief).header("location") == "/#thief"
    page = alice.get("/").body
    for text in texts:
        assert text in page
    assert who(alice)["user"] == "alice"


def test_a_second_look_at_a_known_thief_has_no_signal(alice: Browser) -> None:
    for _ in range(2):
        submit(alice, "/replay", thief="careful")
    assert "No signal: this network and browser were seen" in alice.get("/").body


def test_an_unknown_thief_does_nothing(alice: Browser) -> None:
    submit(alice, "/replay", thief="barber")
    assert "gatehound says" not in alice.get("/").body


def test_a_thief_who_gets_no_answer_of_ours_is_told_as_it_is() -> None:
    exchange = Exchange(("> ",), ("HTTP/1.1 502 Bad Gateway",), 502, (), "<html>")
    assert replay._shown(exchange)["told"] == {}


# --- the played internet ---


async def _nothing() -> dict[str, Any]:
    return {}


async def _drop(message: Any) -> None:
    del message


def test_the_edge_appends_and_leaves_other_scopes_alone() -> None:
    seen: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    headers = [
        (b"x-forwarded-for", b"8.8.8.8"),
        (b"cookie", b"a=b"),
        (b"cookie", b"demo_place=office"),
    ]
    wrapped = edge.Edge(inner)
    for scope in ({"type": "http", "headers": headers}, {"type": "lifespan"}):
        run_sync(wrapped(scope, _nothing, _drop))
    assert seen[0]["headers"] == [*headers, (b"x-forwarded-for", b"198.51.100.41")]
    assert len(headers) == 3, "the server's own list was changed"
    assert seen[1] == {"type": "lifespan"}


def test_the_databases_are_what_their_script_makes(tmp_path: Path) -> None:
    make(tmp_path)
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (files("gatehound.cli.demo") / made.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_every_place_is_where_it_says() -> None:
    folder = Path(str(files("gatehound.cli.demo")))
    networks = Networks(city=str(folder / "demo-city.mmdb"), asn=str(folder / "demo-asn.mmdb"))
    found = {key: networks.lookup(ip_address(place.address)) for key, place in PLACES.items()}
    for key, place in PLACES.items():
        assert place.title.endswith(f"in {found[key].city}")
        assert 64496 <= found[key].asn <= 64511, "RFC 5398"
    for key, near in NEARBY.items():
        assert found[key].country == found[near.key].country
        assert found[key].asn != found[near.key].asn
    assert found["hosting"].continent not in {found[place.key].continent for place in OFFERED}
    assert networks.failures == 0


def test_only_documentation_ranges_are_placed() -> None:
    for network in NETWORKS:
        assert network.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"))


@pytest.mark.parametrize(
    "name",
    [
        "demo-city.mmdb",
        "demo-asn.mmdb",
        "static/demo.css",
        "static/icon.svg",
        "templates/base.html",
        "templates/home.html",
        "templates/parts.html",
        "templates/sign_in.html",
        "templates/told.html",
    ],
)
def test_package_data_is_there(name: str) -> None:
    assert (files("gatehound.cli.demo") / name).read_bytes()


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(one * 2 for one in colour[1:])
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_aa_asks(scheme: int) -> None:
    sheet = (files("gatehound.cli.demo") / "static" / "demo.css").read_text()
    colours = dict(
        re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", sheet.split(":root {")[scheme + 1])
    )
    pairs = [
        *(
            (text, ground)
            for text in ("ink", "soft", "accent")
            for ground in ("page", "card", "tint")
        ),
        *((text, "warn-tint") for text in ("ink", "soft", "warn", "accent")),
        ("warn", "card"),
        ("on-accent", "accent"),
    ]
    for text, ground in pairs:
        lighter, darker = sorted(
            (_luminance(colours[text]), _luminance(colours[ground])), reverse=True
        )
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ground)


def test_the_style_sheet_loads_nothing() -> None:
    sheet = (files("gatehound.cli.demo") / "static" / "demo.css").read_text()
    assert "url(" not in sheet
    assert "@import" not in sheet
    assert sheet.count("\n") < 200


# --- words ---


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "a moment"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7300, "2 hours"),
        (86400, "1 day"),
        (200000, "2 days"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_ago_and_until() -> None:
    assert [ago(then, 1000) for then in (1005, 998, 997, 900)] == [
        "just now",
        "just now",
        "3 seconds ago",
        "1 minute ago",
    ]
    assert [until(then, 1000) for then in (999, 1030, 1061, 4599.2)] == [
        "now",
        "in 30 seconds",
        "in 2 minutes",
        "in 1 hour",
    ]


def test_cookie_values_are_shortened() -> None:
    value = "AZ-_.09" * 10
    line = shortened(f"Cookie: demo_place=home; gatehound={value}")
    assert line == f"Cookie: demo_place=home; gatehound={value[:12]}..."
    assert len(shortened("User-Agent: " + "x y" * 1000)) < 420


@pytest.mark.parametrize("value", ["AAAA", "BBBB", "a.b", "x"])
def test_forged_changes_one_character(value: str) -> None:
    changed = replay.forged(value)
    assert len(changed) == len(value)
    assert sum(a != b for a, b in zip(value, changed, strict=True)) == 1


# --- serving ---


class Unable(Exception):
    pass


@pytest.fixture
def port() -> int:
    with server.listen_anywhere() as free:
        return server.address_of(free)[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_loopback_hosts_are_listened_on(host: str, port: int) -> None:
    with listen(host, port) as listening:
        assert server.address_of(listening) == ("::1" if ":" in host else "127.0.0.1", port)


def _stop_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(asgi: Any, listening: Any, guard: Any) -> None:
        await guard.store.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_serve", serve)


def test_a_run_removes_its_folder(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    _stop_at_once(monkeypatch)
    lines: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    run_demo("127.0.0.1", port, None, lines.append, Unable)
    assert lines[0] == f"gatehound demo on http://127.0.0.1:{port}/"
    folder = Path(lines[1].removeprefix("Sessions are in ").partition(",")[0])
    assert folder.name.startswith("gatehound-demo-")
    assert not folder.exists()
    assert lines[-1] == "Stopped. Removed the sessions."
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_keeps_a_folder_of_the_users(
    monkeypatch: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    _stop_at_once(monkeypatch)
    lines: list[str] = []
    keys = []
    for _ in range(2):
        run_demo("::1", port, tmp_path / "data", lines.append, Unable)
        keys.append((tmp_path / "data" / "keys").read_text())
    assert keys[0] == keys[1]
    assert (tmp_path / "data" / "keys").stat().st_mode & 0o077 == 0
    assert lines[0] == f"gatehound demo on http://[::1]:{port}/"
    assert lines[-1] == "Stopped. Kept the sessions."


def test_a_run_that_cannot_start_says_why(port: int) -> None:
    with listen("127.0.0.1", port), pytest.raises(Unable, match=f"port {port}"):
        run_demo("127.0.0.1", port, None, lambda _: None, Unable)


def test_a_server_that_does_not_start_is_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def gone(*_: object) -> None:
        """What is left of a server that gave up before it accepted."""

    monkeypatch.setattr(server, "_serve", gone)
    with pytest.raises(Trouble, match="did not start"), served(tmp_path):
        pass


@pytest.fixture
def started(port: int) -> Iterator[Callable[[], str]]:
    """The real command in a process of its own; gives its next line."""
    code = "from gatehound.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "demo", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert rest.endswith("Stopped. Removed the sessions.\n")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.slow
def test_the_command_serves_and_prints_events(started: Callable[[], str], port: int) -> None:
    lines = [started() for _ in range(3)]
    assert lines[0] == f"gatehound demo on http://127.0.0.1:{port}/\n"
    visitor = Browser(("127.0.0.1", port), CHROME, HOME)
    assert visitor.post("/sign-in", {"user": "alice"}).status == 303
    assert started().startswith('  session_created {"at":')
    visitor.jar["gatehound"] = replay.forged(visitor.jar["gatehound"])
    assert who(visitor)["user"] is None
    assert "token_forged" in started()
    assert "Alice" in visitor.get("/", {"Host": "localhost"}).body
    assert "Alice" not in visitor.get("/", {"Host": "evil.example"}).body


def test_a_network_that_is_chosen_at_sign_in_is_the_one_that_signs_in(
    here: tuple[str, int],
) -> None:
    visitor = Browser(here, CHROME, HOME)
    form = {"user": "bob", "place": OFFICE.key}
    again = visitor.post("/sign-in", form)
    assert (again.status, again.header("location")) == (307, "/sign-in")
    visitor.place = OFFICE  # what a browser does with the cookie of that answer
    assert visitor.post("/sign-in", form).status == 303
    created = [one for one in visitor.get("/who").json()["events"] if "created" in one["name"]]
    assert created[0]["address"] == OFFICE.address


def test_signing_in_again_clears_where_this_was_me_cannot(here: tuple[str, int]) -> None:
    visitor = Browser(here, CHROME, HOME)
    assert visitor.post("/sign-in", {"user": "bob", "place": "home"}).status == 303
    submit(visitor, "/replay", thief="careless")
    visitor.place = LIBRARY
    assert submit(visitor, "/confirm").header("location") == "/?again"
    assert "A thief would say the same from here" in visitor.get("/?again").body
    page = visitor.get("/?again").body
    found = re.search(r'action="/again">\s*<input type="hidden" name="csrf" value="([^"]+)">', page)
    assert found is not None
    assert visitor.post("/again", {"csrf": found[1]}).status == 303
    told = visitor.get("/who").json()
    assert not next(one for one in told["sessions"] if one["current"])["flagged"]
