"""How often a request asks Redis, and what: counted by the server, through both adapters.

What a process asks once a second (whether everybody was signed out, and the time) rides in the
trip of a request. The clock of these stores stands still, so that nothing of it comes by itself;
the tests that move it, or that use the server's own, say how many commands it may add.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle

import pytest
import redis
from speed_kit import COOKIE, REQUESTS, V4, V6, Door, counted, play

import zoo
from gatehound.testing import FakeClock

RIDING = 2  # commands: GET of the line of a bucket, and TIME
SECOND = 1000

pytestmark = pytest.mark.slow  # some hundred requests over a socket each


@pytest.fixture
def admin(server: zoo.Server) -> Iterator[redis.Redis]:
    """A client that has greeted the server already."""
    with server.client() as client:
        client.ping()
        yield client


def test_a_signed_in_request_is_one_trip_of_one_command(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()
        with counted(admin) as counts:
            for _ in range(REQUESTS):
                assert await door.ask() == "ada"
        assert counts.trips == REQUESTS
        assert counts.commands.total() == REQUESTS
        assert counts.writes == set()

    play(world, server, scene, FakeClock())


def test_what_is_asked_once_a_second_rides_in_a_request(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    clock, seconds = FakeClock(), 10

    async def scene(door: Door) -> None:
        await door.sign_in()
        with counted(admin) as counts:
            for number in range(REQUESTS):
                if number % (REQUESTS // seconds) == 0:
                    clock.advance(ms=SECOND)
                assert await door.ask() == "ada"
        assert counts.trips == REQUESTS
        assert REQUESTS <= counts.commands.total() <= REQUESTS + RIDING * seconds
        assert counts.writes == set()

    play(world, server, scene, clock)


def test_by_the_clock_of_the_server_it_is_one_trip_too(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()
        began = time.monotonic()
        with counted(admin) as counts:
            for _ in range(REQUESTS):
                assert await door.ask() == "ada"
        seconds = int(time.monotonic() - began) + 1  # what was fresh at the start may be stale
        assert counts.trips == REQUESTS
        assert REQUESTS <= counts.commands.total() <= REQUESTS + RIDING * seconds
        assert counts.writes == set()

    play(world, server, scene)


def test_a_session_is_written_when_its_touch_is_due_and_in_one_trip(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    clock = FakeClock()

    async def scene(door: Door) -> None:
        await door.sign_in()
        clock.advance(seconds=59)
        with counted(admin) as early:
            await door.ask()
        clock.advance(seconds=2)
        await door.ask()  # the server may have to learn the script
        clock.advance(seconds=61)
        with counted(admin) as due:
            assert await door.ask() == "ada"
        with counted(admin) as after:
            assert await door.ask() == "ada"
        assert (early.trips, early.writes) == (1, set())
        assert due.trips == 1
        assert due.writes
        assert (after.trips, after.writes) == (1, set())

    play(world, server, scene, clock)


@pytest.mark.parametrize("cookie", ["", "theme=dark", f"{COOKIE}=made.up", "forged"])
def test_without_a_cookie_of_ours_the_server_is_not_asked(
    world: str, server: zoo.Server, admin: redis.Redis, cookie: str
) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()
        sent = cookie
        if cookie == "forged":  # one character of what was signed is another
            start, last = door.jar[:40], door.jar[41:]
            sent = f"{start}{'B' if door.jar[40] == 'A' else 'A'}{last}"
        with counted(admin) as counts:
            for _ in range(REQUESTS):
                assert await door.ask(cookie=sent) == "nobody"
        assert not counts, counts

    play(world, server, scene, FakeClock())


def test_an_address_that_goes_to_and_fro_costs_no_more(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()  # the first of each is in there
        addresses = cycle((V4, V6))
        with counted(admin) as counts:
            for _ in range(REQUESTS):
                assert await door.ask(next(addresses)) == "ada"
        assert counts.trips == REQUESTS
        assert counts.commands.total() == REQUESTS
        assert counts.writes == set()

    play(world, server, scene, FakeClock())


def test_an_app_that_does_not_look_costs_one_trip(
    world: str, server: zoo.Server, admin: redis.Redis
) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()
        door.looks = False
        with counted(admin) as counts:
            for _ in range(REQUESTS):
                assert await door.ask() == "not looked"
        assert counts.trips == REQUESTS
        assert counts.commands.total() == REQUESTS

    play(world, server, scene, FakeClock())
