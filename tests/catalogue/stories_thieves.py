"""A1 to A9, A20, A21, A24, A27 to A29, A31: somebody else holds the cookie, or the password.

Each phase has a victim of its own, so that what one phase found does not help the next.
"""

from __future__ import annotations

from catalogue_kit import HOME, Person, Tale, worst
from catalogue_looks import Look, chrome, edge, firefox, iphone, script
from catalogue_run import (
    ALLOW,
    FLAG,
    NOT_SEEN,
    NOTIFY,
    RECORD,
    STEP_UP,
    answered,
    attack,
)
from catalogue_world import v4
from stories_networks import browse

PAY = {"sensitive_paths": ["/pay"]}
FRESH_PAY = {"fresh_paths": ["/pay"]}


def steal(
    tale: Tale, user: str, address: str, look: Look | None = None, *, rests: float = 6
) -> tuple[Person, Person]:
    """Open a phase with a victim at home and a thief; `rests` is in minutes.

    Where no look is given the thief has cloned the victim's.
    """
    victim = tale.settled(user=user)
    tale.wait(minutes=rests)
    tale.begin()
    return victim, victim.thief(look, address)


def take_turns(tale: Tale, one: Person, other: Person, rounds: int = 6) -> None:
    """Let two use the session at the same time, each with pages and what they fetch."""
    for n in range(rounds):
        for person in (one, other):
            person.page(f"/list/{n}")
            tale.wait(seconds=5)
            person.fetch()
            tale.wait(seconds=40)


@attack(1, (NOTIFY, STEP_UP))
def far_server_and_another_browser(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("cloud"), firefox())
    thief.page("/list")
    assert tale.told("session_flagged")[0].notify == "both"


@attack(2, (FLAG, FLAG), (FLAG, STEP_UP), (FLAG, STEP_UP), policy=PAY)
def far_line_and_a_cloned_browser(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("brazil"))
    thief.page("/list")
    _, thief = steal(tale, "bob", v4("brazil"))
    thief.page("/pay")
    victim, thief = steal(tale, "cleo", v4("brazil"))
    take_turns(tale, thief, victim)


@attack(3, (NOTIFY, STEP_UP))
def far_line_and_another_browser(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("brazil"), firefox())
    thief.page("/list")


@attack(4, (RECORD, RECORD), (RECORD, STEP_UP), policy=PAY)
def another_line_in_the_country_and_a_cloned_browser(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("cable"))
    thief.page("/list")
    victim, thief = steal(tale, "bob", v4("cable"))
    take_turns(tale, thief, victim)
    thief.page("/pay")


@answered(5, NOT_SEEN, policy=FRESH_PAY, session={"rotate_every": 3600, "rotation_grace": 60})
def neighbour_with_a_cloned_browser(tale: Tale) -> None:
    victim, thief = steal(tale, "ada", v4("home", 0, 200), rests=1)
    take_turns(tale, thief, victim, rounds=3)
    assert worst(tale.phases[-1]) is ALLOW
    # A route that asks for a recent sign-in, and a secret that is renewed, do not depend on it.
    tale.wait(minutes=55)
    assert thief.asked_on("/pay")
    victim.page("/list")
    tale.wait(minutes=3)
    victim.page("/list")
    tale.wait(minutes=3)
    assert thief.page("/list", counted=False).user is None
    assert [event.name for event in tale.told("session_reuse")] == ["session_reuse"]


@attack(6, (FLAG, FLAG), (FLAG, STEP_UP), policy=PAY)
def cookie_sold_after_a_week(tale: Tale) -> None:
    late = tale.settled().thief(address=v4("brazil"))
    tale.wait(days=20)
    assert late.page("/", counted=False).ended in ("idle", "absolute")
    _, thief = steal(tale, "bob", v4("brazil"), rests=6 * 24 * 60)
    thief.page("/list")
    _, thief = steal(tale, "cleo", v4("brazil"), rests=6 * 24 * 60)
    thief.page("/pay")


@attack(7, (FLAG, STEP_UP), (FLAG, STEP_UP))
def program_with_the_cookie(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("rack"), script("curl/8.15.0"))
    thief.fetch()
    _, thief = steal(tale, "bob", v4("cable"), script(chrome().agent))
    thief.fetch()


@attack(8, (FLAG, STEP_UP), (NOTIFY, STEP_UP))
def through_tor(tale: Tale) -> None:
    _, thief = steal(tale, "ada", v4("onion"))
    thief.page("/list")
    _, thief = steal(tale, "bob", v4("onion"), firefox(140, "Windows NT 10.0; Win64; x64"))
    thief.page("/list")


@attack(9, (NOTIFY, STEP_UP))
def phishing_page_signs_in(tale: Tale) -> None:
    tale.settled()
    tale.begin()
    page = tale.person(chrome(), v4("cloud"))  # it passes the victim's browser text on
    page.login()
    assert [event.notify for event in tale.told("login_new_device")] == ["user"]
    tale.wait(minutes=3)
    page.move(v4("america")).page("/list")


@attack(20, (RECORD, RECORD), (RECORD, RECORD))
def one_small_step_after_another(tale: Tale) -> None:
    victim, thief = steal(tale, "ada", HOME)
    for address in (v4("cable"), v4("rack"), v4("tunnel", 1), v4("france"), v4("spain")):
        thief.move(address).page("/list")
        tale.wait(hours=3)
        victim.page("/list")
    # What the session was taught within a day is nothing that its user is known by.
    tale.begin()
    tale.person(firefox(), v4("spain")).login()
    assert [event.notify for event in tale.told("login_new_device")] == ["user"]


@attack(21, (FLAG, FLAG), (RECORD, RECORD))
def history_is_taught(tale: Tale) -> None:
    for user, days in (("ada", 0), ("bob", 2)):
        victim = tale.settled(user=user)
        teacher = tale.person(firefox(), v4("america"), user)
        for _ in range(5):  # with the password; each is recorded
            teacher.login()
            teacher.page("/list")
            teacher.logout()
            tale.wait(minutes=30)
        tale.wait(days=days)
        victim.page("/list")
        tale.wait(minutes=6)
        tale.begin()
        victim.thief(address=v4("america", 2)).page("/list")


@attack(24, (NOTIFY, STEP_UP))
def thief_and_victim_at_once(tale: Tale) -> None:
    victim, thief = steal(tale, "ada", v4("cable"), edge())
    take_turns(tale, thief, victim)


@attack(27, (FLAG, FLAG), (FLAG, STEP_UP))
def another_device_on_the_same_network(tale: Tale) -> None:
    _, thief = steal(tale, "ada", HOME, iphone())
    thief.page("/list")
    victim, thief = steal(tale, "bob", HOME, iphone())
    take_turns(tale, thief, victim)


@attack(28, (RECORD, RECORD))
def older_browser_without_hints(tale: Tale) -> None:
    same = tale.settled(user="bob").thief(address=v4("cable"))
    plain = same.page("/list")
    _, older = steal(tale, "ada", v4("cable"), chrome(120).as_(platform=""))
    assert older.page("/list").score >= plain.score + 1


@attack(29, (NOTIFY, STEP_UP))
def remembered_session_in_a_new_place(tale: Tale) -> None:
    victim = tale.settled(remember=True)
    tale.wait(days=2)
    tale.begin()
    thief = victim.thief(firefox(), v4("cable"))
    thief.page("/list")


@attack(31, (RECORD, RECORD), (FLAG, FLAG))
def administrator(tale: Tale) -> None:
    for user, roles in (("ada", ()), ("root", ("admin",))):
        victim = tale.settled(user=user, roles=roles)
        tale.begin()
        browse(tale, victim.thief(address=v4("france")), v4("france"))
