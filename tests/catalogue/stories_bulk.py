"""A14, A15, A22, A30, A32: many accounts at once, and accounts that are taken over at sign-in."""

from __future__ import annotations

from catalogue_kit import Tale
from catalogue_looks import chrome, edge, firefox, iphone, mac, script
from catalogue_run import FLAG, NOTIFY, RECORD, STEP_UP, attack
from catalogue_world import v4

USERS = 30
ATTACKED = 24


@attack(14, (FLAG, FLAG))
def stuffing_of_credentials(tale: Tale) -> None:
    people = tale.crowd(USERS)
    tale.begin()
    for n, person in enumerate(people[:ATTACKED]):
        program = tale.person(script(), v4("cloud", 0, 10 + n % 5), person.user)
        program.call(lambda visit: visit.login_failed("nobody", "wrong password"))
        program.login()
        tale.wait(seconds=20)
    assert len(tale.told("login_failed")) == ATTACKED
    assert len(tale.told("login_new_device")) == ATTACKED


@attack(15, (RECORD, RECORD))
def slow_spray_of_one_password(tale: Tale) -> None:
    people = tale.crowd(USERS)
    tale.begin()
    for n, person in enumerate(people[:ATTACKED]):
        tale.person(firefox(), v4("brazil", n % 16, 50 + n), person.user).login()
        tale.wait(minutes=40)
    assert {event.notify for event in tale.told("login_new_device")} == {"user"}


@attack(22, (RECORD, RECORD))
def account_is_resold(tale: Tale) -> None:
    tale.settled()
    tale.begin()
    buyers = (chrome(), edge(), firefox(), mac(), iphone(), chrome(154))
    for n, look in enumerate(buyers):
        person = tale.person(look, v4("cable", n, 60))
        person.login(remember=True)
        person.page("/film")
        tale.wait(minutes=25)
    assert len(tale.told("session_terminated_limit")) == 2  # five at a time, by default


@attack(30, (NOTIFY, STEP_UP))
def cookies_out_of_a_backup(tale: Tale) -> None:
    people = tale.crowd(USERS)
    tale.begin()
    steps = []
    for person in people[:ATTACKED]:
        steps.append(person.thief(firefox(), v4("rack")).page("/list"))
        tale.wait(seconds=30)
    assert {step.action for step in steps} <= {NOTIFY, STEP_UP}
    assert {event.notify for event in tale.told("sessions_moved")} == {"admins"}


@attack(32, (RECORD, RECORD))
def telephone_number_is_taken_over(tale: Tale) -> None:
    victim = tale.settled()
    tale.begin()
    taker = tale.person(iphone(), v4("phone"))
    taker.login(methods=("sms",))
    assert len(tale.told("login_new_device")) == 1
    # The app ends what the old password opened, and tells the old address: see its own events.
    assert taker.call(lambda visit: visit.terminate_others("password_changed")) == 1
    assert victim.page("/", counted=False).ended == "password_changed"
