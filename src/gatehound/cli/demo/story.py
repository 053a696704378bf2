"""`gatehound demo --check`: the demo's story, told and checked by itself.

It serves the real thing on a free loopback port and plays two browsers and two thieves with
real requests. Each statement is checked on what came back over the socket, and nothing is
asked of the code behind it. The transcript is the report.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any, Final

from gatehound.cli.demo.browser import Browser, Exchange
from gatehound.cli.demo.replay import forged
from gatehound.cli.demo.server import Echo, Trouble, served
from gatehound.cli.demo.world import (
    ADMIN_PATH,
    CHROME,
    FIREFOX,
    HAMBURG,
    HOME,
    HOSTING,
    LIBRARY,
    OFFICE,
    SAFARI,
    SCRIPT,
    Place,
)
from gatehound.errors import GatehoundError

COOKIE: Final = "gatehound"
_ADMIN_FORM: Final = r'name="token" value="([^"]+)"'
_ADMIN_END: Final = r'name="session" value="([^"]+)"'
_FORM: Final = r'action="{path}">\s*<input type="hidden" name="csrf" value="([^"]+)">'
_SIGNAL: Final = r'<td class="number">([^<]+)</td><td>([^<]+)<br><code>([^<]+)</code>'


def run_check(echo: Echo) -> int:
    """Play the story, give each line of the transcript to `echo`; return 0, or 1 for failures."""
    began = time.monotonic()
    story: Story | None = None
    try:
        with (
            tempfile.TemporaryDirectory(prefix="gatehound-demo-") as folder,
            served(Path(folder)) as here,
        ):
            story = Story(here, echo)
            echo(f"gatehound demo --check, on http://{here[0]}:{here[1]}/")
            for scene in SCENES:
                story.play(scene)
    except (GatehoundError, OSError, Trouble) as error:
        echo(f"FAILED  the demo could not be served: {error}")
        return 1
    echo("")
    seconds = time.monotonic() - began
    echo(f"{story.checks} checks, {story.failed} failed in {seconds:.1f} s")
    return 1 if story.failed or not story.checks else 0


class Story:
    """Who takes part, what was said, and what did not hold."""

    def __init__(self, here: tuple[str, int], echo: Echo) -> None:
        self.echo = echo
        self.checks = 0
        self.failed = 0
        self._here = here
        self.laptop = self.browser(CHROME, HOME)
        self.office = self.browser(FIREFOX, OFFICE)

    def browser(self, agent: str, place: Place) -> Browser:
        """Make somebody with no cookies."""
        return Browser(self._here, agent, place)

    def play(self, scene: Callable[[Story], None]) -> None:
        """Play one scene; what it trips over is a failure, and the next goes on."""
        self.echo(f"\n== {scene.__doc__}")
        try:
            scene(self)
        except Exception as error:  # a check reports whatever broke, and never a traceback
            self.check(f"the scene could be played ({type(error).__name__}: {error})", False)

    def check(self, statement: str, holds: bool) -> None:
        """Count and tell whether a statement holds."""
        self.checks += 1
        self.failed += not holds
        self.echo(f"{'ok     ' if holds else 'FAILED '} {statement}")

    def show(self, exchange: Exchange) -> Exchange:
        """Tell what was sent and what came back."""
        for line in exchange.sent:
            self.echo(f"  > {line}")
        for line in exchange.got:
            self.echo(f"  < {line}")
        return exchange

    def sign_in(self, who: Browser) -> Exchange:
        """Sign Alice in."""
        return who.post("/sign-in", {"user": "alice", "place": who.place.key})

    def submit(self, who: Browser, path: str, **fields: str) -> Exchange:
        """Send a form of the page, with the token that stands in it."""
        page = who.get("/").body
        found = re.search(_FORM.format(path=path), page)
        if found is None:
            raise LookupError(f"the page has no form for {path}")
        return who.post(path, {"csrf": found[1], **fields})

    def ask(self, who: Browser, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask for /who, tell it, and return the answer."""
        told: dict[str, Any] = self.show(who.get("/who", headers)).json()
        return told


def stranger(story: Story) -> None:
    """A stranger looks at the page"""
    page = story.show(story.browser(CHROME, HOME).get("/"))
    policy = page.header("content-security-policy")
    story.check("the page is there, and offers to sign in", "Sign in as" in page.body)
    story.check("it gets no cookie", not page.header("set-cookie"))
    story.check("its policy allows no script", "default-src 'none'" in policy)
    scripted = re.search(r"<script|<style|\sstyle=|\son[a-z]+=", page.body)
    story.check("it has no script and no inline style", scripted is None)
    head = story.browser(CHROME, HOME).ask("HEAD", "/")
    story.check("HEAD answers 200 with no body", (head.status, head.body) == (200, ""))


def alice_signs_in(story: Story) -> None:
    """Alice signs in with browser A, at home in Berlin"""
    answer = story.show(story.sign_in(story.laptop))
    cookies = answer.header("set-cookie").split("\n")
    cookie = next((line for line in cookies if line.startswith(f"{COOKIE}=")), "")
    story.check("the answer redirects with 303", answer.status == 303)
    story.check("its cookie is HttpOnly and SameSite=Lax", "HttpOnly; SameSite=Lax" in cookie)
    story.check("it may not be cached", "no-store" in answer.header("cache-control"))
    told = story.ask(story.laptop)
    story.check("A is Alice", told["user"] == "alice")
    story.check(f"A is seen at {HOME.address}", told["address"] == HOME.address)
    for line in told["trace"]:
        story.echo(f"    {line}")
    trusted = any(line.startswith("peer ") and "trusted by" in line for line in told["trace"])
    story.check("the trace says why the proxy was believed", trusted)
    story.check("the place is Berlin", told["sessions"][0]["place"] == "Berlin, DE")


def claimed_address(story: Story) -> None:
    """A claims to be elsewhere, in an X-Forwarded-For of its own"""
    told = story.ask(story.laptop, {"X-Forwarded-For": "198.51.100.99, 8.8.8.8"})
    story.check("the address does not move", told["address"] == HOME.address)
    story.check("there is no signal", told["signals"] == [])


def second_browser(story: Story) -> None:
    """Alice signs in with browser B, in London; A ends it"""
    story.sign_in(story.office)
    listed = story.ask(story.laptop)["sessions"]
    for one in listed:
        mark = "  <- this device" if one["current"] else ""
        story.echo(f"    {one['device']}, {one['place']}, {one['address']}{mark}")
    others = [one for one in listed if not one["current"]]
    story.check("A sees two sessions", len(listed) == 2)
    story.check("one of them is this device", len(others) == 1)
    target = others[0]["public_id"]
    refused = story.laptop.post("/end", {"session": target, "csrf": "made-up"})
    story.check("a form without a valid token is refused with 403", refused.status == 403)
    story.check("and ended nothing", story.office.get("/who").json()["user"] == "alice")
    story.show(story.submit(story.laptop, "/end", session=target))
    told = story.ask(story.office)
    story.check("B is signed out at its next request", told["user"] is None)
    reason = "You ended this session from another device."
    story.check(f"B is told why: {reason}", told["ended"] == reason)
    story.check("and so says its page", reason in story.office.get("/").body)


def forger(story: Story) -> None:
    """A forger changes one character of A's cookie"""
    thief = story.browser(CHROME, HOME)
    thief.jar[COOKIE] = forged(story.laptop.jar[COOKIE])
    told = story.ask(thief)
    story.check("the forged cookie opens nothing", told["user"] is None)
    story.check("and A is still signed in", story.laptop.get("/who").json()["user"] == "alice")


def careful_thief(story: Story) -> None:
    """A careful thief replays A's cookie: same browser text, same country, other network"""
    thief = story.browser(CHROME, HAMBURG)
    thief.jar[COOKIE] = story.laptop.jar[COOKIE]
    told = story.ask(thief)
    _verdict(story, told)
    codes = [one["code"] for one in told["signals"]]
    story.check("he is noticed: network_changed", codes == ["network_changed"])
    story.check("and only recorded: it may be Alice herself", told["action"] == "record")


def careless_thief(story: Story) -> None:
    """A careless thief replays A's cookie with a script, through the button of the page"""
    answer = story.show(story.submit(story.laptop, "/replay", thief="careless"))
    story.check("the button answers 303", answer.status == 303)
    page = story.laptop.get("/").body
    codes = set()
    for points, reason, code in re.findall(_SIGNAL, page):
        story.echo(f"    +{points} {code}: {unescape(reason)}")
        codes.add(code)
    story.check("the program was noticed: script_client", "script_client" in codes)
    story.check("the network was noticed: network_changed", "network_changed" in codes)
    story.check("the verdict is notify", '<strong class="verdict">notify</strong>' in page)
    story.check("the page shows the badge", '<span class="badge warn">Suspicious</span>' in page)
    told = story.ask(story.laptop)
    mine = next(one for one in told["sessions"] if one["current"])
    story.check("Alice is still signed in", told["user"] == "alice")
    story.check("her session is marked as suspicious", mine["flagged"])
    story.check("with the reason in words", any("program" in text for text in mine["reasons"]))
    for one in told["events"]:
        story.echo(f"    {one['name']}  {one['address']}  {one['reason']}".rstrip())
    story.check("the log has it", told["events"][0]["name"] == "session_flagged")


def confirmed(story: Story) -> None:
    """Alice says: this was me. From her own place that clears, and from the thief's it does not"""
    thief = story.browser(SCRIPT, HOSTING)
    thief.jar[COOKIE] = story.laptop.jar[COOKIE]
    refused = story.show(story.submit(thief, "/confirm"))
    story.check("the thief is asked to sign in", refused.header("location") == "/?again")
    story.show(story.submit(story.laptop, "/confirm"))
    told = story.laptop.get("/who").json()
    mine = next(one for one in told["sessions"] if one["current"])
    story.check("her session is no longer suspicious", not mine["flagged"])
    story.check("the log has it", told["events"][0]["name"] == "session_cleared")
    story.check("the thief is still one", thief.get("/who").json()["action"] == "notify")
    story.submit(story.laptop, "/confirm")


def too_many(story: Story) -> None:
    """Alice signs in five times more: five sessions are allowed, the oldest ends"""
    for number in range(4):  # browsers of their own: else they would make room for each other
        story.sign_in(story.browser(SAFARI.replace("18.6", f"18.{number}"), LIBRARY))
    newest = story.browser(SAFARI, LIBRARY)
    story.show(story.sign_in(newest))
    told = story.ask(story.laptop)
    reason = "You signed in again, and this session made room for the new one."
    story.check(f"A, the oldest, is told: {reason}", told["ended"] == reason)
    story.check("five are left", len(newest.get("/who").json()["sessions"]) == 5)
    story.laptop = newest


def admin_ends(story: Story) -> None:
    """Carol, an admin, looks for Alice's sessions and ends one"""
    carol = story.browser(CHROME, OFFICE)
    carol.post("/sign-in", {"user": "carol", "place": OFFICE.key})
    refused = story.laptop.get(f"{ADMIN_PATH}/sessions")
    story.check("Alice may not see the pages of admins", refused.status == 403)
    found = story.show(carol.get(f"{ADMIN_PATH}/sessions?q=alice"))
    story.check("Carol finds her by name", found.header("location") == "user?id=alice")
    page = carol.get(f"{ADMIN_PATH}/user?id=alice").body
    tokens, named = re.findall(_ADMIN_FORM, page), re.findall(_ADMIN_END, page)
    story.check("and sees five sessions", len(set(named)) == 5)
    mine = story.laptop.get("/who").json()["sessions"]
    target = next(one["public_id"] for one in mine if one["current"])
    form = {"token": tokens[0], "user": "alice", "session": target}
    answer = story.show(carol.post(f"{ADMIN_PATH}/end", form))
    story.check("what she ends is over", "gh-done=ended" in answer.header("location"))
    told = story.ask(story.laptop)
    reason = "An administrator ended this session."
    story.check(f"Alice is told: {reason}", told["ended"] == reason)
    log = carol.get(f"{ADMIN_PATH}/events?name=admin_acted").body
    story.check("and the log names who did it", "ended a session" in log and "carol" in log)
    story.sign_in(story.laptop)


def signs_out(story: Story) -> None:
    """Alice signs out, and the thief comes back with the cookie"""
    thief = story.browser(CHROME, HOME)
    thief.jar[COOKIE] = story.laptop.jar[COOKIE]
    story.check(
        "until then the copy of the cookie works", thief.get("/who").json()["user"] == "alice"
    )
    answer = story.show(story.submit(story.laptop, "/sign-out"))
    story.check("the cookie is removed", COOKIE not in story.laptop.jar and answer.status == 303)
    told = story.ask(thief)
    story.check("the copy of it opens nothing", told["user"] is None)
    story.check("because: You signed out.", told["ended"] == "You signed out.")


def _verdict(story: Story, told: dict[str, Any]) -> None:
    story.echo(f"    verdict {told['action']} at {told['score']} points")
    for one in told["signals"]:
        story.echo(f"    {one['weight']:+.1f} {one['code']}: {one['reason']}")


SCENES: Final = (
    stranger,
    alice_signs_in,
    claimed_address,
    second_browser,
    forger,
    careful_thief,
    careless_thief,
    confirmed,
    too_many,
    admin_ends,
    signs_out,
)
