"""A10 to A13, A16 to A19, A23, A25, A26: what needs no evidence, and what leaves none."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from catalogue_kit import HOME, Person, Tale, worst
from catalogue_looks import chrome, firefox
from catalogue_run import ALLOW, FLAG, NOT_SEEN, PREVENTED, answered
from catalogue_world import v4

from flow.flow_kit import IDENTITY, SECRET
from gatehound import Guard, SettingsError

NAME = "__Host-gatehound"
MADE_UP = "A" * 80 + "." + "A" * 43
PROXIED = {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.0/8"]}
FRESH_PAY = {"fresh_paths": ["/pay"]}


# The way to sign in has to be open in mode `step-up`: what was planted may have to prove itself.
@answered(10, PREVENTED, web={"step_up_open": ["/sign-in"]})
def id_is_planted_before_the_sign_in(tale: Tale) -> None:
    mallory = tale.person(firefox(), v4("cable"), "mallory")
    mallory.login()
    planted = dict(mallory.browser.cookies)
    victim = tale.person()
    victim.browser.cookies = dict(planted)
    assert victim.login().user == "ada"
    assert victim.browser.cookies[NAME] != planted[NAME]
    # What was planted opens nothing, and least of all the session of the one who signed in.
    step = mallory.page("/", counted=False)
    assert (step.user, step.ended) == (None, "replaced")
    assert tale.told("token_replayed")


@answered(11, PREVENTED)
def cookie_is_tossed_from_a_subdomain(tale: Tale) -> None:
    victim = tale.person()
    victim.login()
    own = victim.browser.cookies[NAME]
    for line in (f"{NAME}={MADE_UP}; {NAME}={own}", f"{NAME}={own}; {NAME}=short"):
        assert victim.page("/", headers={"cookie": line}, counted=False).user == "ada"
    alone = victim.page("/", headers={"cookie": f"{NAME}={MADE_UP}"}, counted=False)
    flood = "; ".join([f"{NAME}={MADE_UP}"] * 9 + [f"{NAME}={own}"])
    assert (alone.user, alone.ended) == (None, "")
    assert victim.page("/", headers={"cookie": flood}, counted=False).user is None
    assert tale.told("token_forged")
    # Browsers take a cookie of this prefix from no subdomain.
    assert tale.site.guard.settings.cookie.name.startswith("__Host-")


@answered(12, NOT_SEEN, policy=FRESH_PAY)
def script_in_the_page(tale: Tale) -> None:
    victim = tale.settled()
    tale.begin()
    _ride(tale, victim)
    _asks_for_a_fresh_sign_in(tale, victim)
    (line,) = victim.browser.do(lambda visit: visit.rotate(), method="POST").set_cookies
    assert "HttpOnly" in line  # it can use the cookie, and not take it away


@answered(26, NOT_SEEN, policy=FRESH_PAY)
def extension_or_program_on_the_machine(tale: Tale) -> None:
    victim = tale.settled()
    tale.begin()
    _ride(tale, victim)
    _asks_for_a_fresh_sign_in(tale, victim)


def _ride(tale: Tale, victim: Person) -> None:
    """Requests that the victim's own browser sends, and the victim did not mean."""
    for n in range(20):
        victim.fetch(f"/api/export/{n}")
        tale.wait(seconds=1)
    assert worst(tale.phases[-1]) is ALLOW


def _asks_for_a_fresh_sign_in(tale: Tale, person: Person) -> None:
    tale.wait(minutes=11)
    assert person.asked_on("/pay")


@answered(13, PREVENTED)
def form_of_another_site(tale: Tale) -> None:
    victim, mallory = tale.person(), tale.person(firefox(), v4("cable"), "mallory")
    victim.login()
    mallory.login()
    own = victim.call(lambda visit: visit.csrf_token("pay"))
    other = mallory.call(lambda visit: visit.csrf_token("pay"))
    assert _checks(victim, own)
    assert not any(_checks(victim, token) for token in (other, own[:-1], ""))
    assert not _checks(victim, own, "delete")
    assert tale.site.guard.settings.cookie.samesite == "lax"  # and it is not even sent


def _checks(person: Person, token: str, action: str = "pay") -> bool:
    good: bool = person.call(lambda visit: visit.check_csrf(token, action))
    return good


@answered(16, PREVENTED)
def cookie_of_an_ended_session(tale: Tale) -> None:
    victim = tale.person()
    victim.login(remember=True)
    thief = victim.thief()
    victim.logout()
    for _ in range(2):
        step = thief.page("/", counted=False)
        assert (step.user, step.ended) == (None, "logout")
        tale.wait(days=10)
    assert tale.told("token_replayed")[0].public_id


@answered(17, PREVENTED, session={"rotate_every": 600, "rotation_grace": 60})
def old_secret_comes_back(tale: Tale) -> None:
    victim = tale.settled()
    late = victim.thief()  # a request that was under way
    thief = victim.thief(address=v4("cable"))
    tale.wait(minutes=11)
    victim.page("/list")
    tale.wait(seconds=5)
    assert late.fetch("/api/list", counted=False).user == "ada"  # within the grace: benign
    victim.page("/list")
    tale.wait(minutes=5)
    step = thief.page("/list", counted=False)
    assert step.user is None
    assert len(tale.told("session_reuse")) == 1
    assert victim.page("/list", counted=False).action >= FLAG  # its owner is told


@answered(18, PREVENTED, client_ip=PROXIED)
def address_is_made_up_in_a_header(tale: Tale) -> None:
    honest = {"x-forwarded-for": HOME}
    victim = tale.person(address="10.0.0.5")
    headers = {**chrome().headers("page"), **honest}
    victim.browser.do(lambda visit: visit.login("ada"), method="POST", headers=headers)
    assert victim.page("/", headers=honest).address == HOME
    direct = victim.thief(address=v4("brazil")).page("/", headers=honest, counted=False)
    assert direct.address == v4("brazil")
    forged = {"x-forwarded-for": f"{HOME}, {v4('brazil', 1)}"}  # the proxy appends whom it saw
    through = victim.thief(address="10.0.0.5").page("/", headers=forged, counted=False)
    assert (through.address, through.action) == (v4("brazil", 1), FLAG)
    for trusted in ("0.0.0.0/0", "::/0"):
        with pytest.raises(SettingsError, match="trust"):
            Guard(
                {
                    "secret_keys": [SECRET],
                    "identity_key": IDENTITY,
                    "store": "memory://",
                    "client_ip": {**PROXIED, "trusted_proxies": [trusted]},
                }
            )


@answered(19, PREVENTED)
def headers_of_a_browser_are_copied(tale: Tale) -> None:
    kinds = ("page", "fetch", "image", "video", "worker", "prefetch", "prerender")
    scores = set()
    for kind in kinds:
        victim = tale.settled(user=kind)
        step = victim.thief(firefox(), v4("brazil")).send(kind, "/list", counted=False)
        scores.add(step.score)
    assert len(scores) == 1  # whatever a request says it is, its network and browser are judged
    # In mode `step-up` the app is not called, and so is shown no score: the event has it.
    flagged = {event.user_id: event.detail["score"] for event in tale.told("session_flagged")}
    assert flagged.keys() == set(kinds)
    (score,) = set(flagged.values())
    assert isinstance(score, float)
    assert score > 6.5
    if tale.mode == "step-up":
        assert [event.user_id for event in tale.told("step_up_required")] == list(kinds)
    else:
        assert {round(one, 2) for one in scores} == {score}


@answered(23, PREVENTED)
def ids_are_guessed(tale: Tale) -> None:
    stranger = tale.person(firefox(), v4("cloud"))
    with patch.object(tale.site.guard.store, "load", side_effect=AssertionError("asked")):
        for n in range(200):
            value = f"{n:080d}.{n:042d}A"
            stranger.browser.cookies = {NAME: value}
            assert stranger.page("/", counted=False).user is None
    assert len(tale.told("token_forged")) == 1  # the rest of a minute comes as one count


@answered(25, PREVENTED)
def polling_keeps_nothing_alive(tale: Tale) -> None:
    victim = tale.settled(remember=False)
    thief = victim.thief()
    for _ in range(10):
        tale.wait(minutes=5)
        assert thief.fetch("/api/news", counted=False).user == "ada"
    tale.wait(minutes=5)
    step = thief.fetch("/api/news", counted=False)
    assert (step.user, step.ended) == (None, "idle")
