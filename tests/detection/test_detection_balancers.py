"""Balancers that cover just under nine tenths of the active users: whoever tips it, it is said."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from detection_kit import NOW

from gatehound.detection import prefix_of
from gatehound.detection.population import WINDOW, Crowd, Population

POOL = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
GROUPS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")


def use(population: Population, user: int, address: str, now: float) -> Crowd | None:
    found = ip_address(address)
    population.note(user.to_bytes(12), found.packed, prefix_of(found), now)
    return population.crowd


@pytest.fixture
def population() -> Population:
    """Users 0 to 3 on lines of their own, of whom 0 came first, and 27 behind the balancers."""
    population = Population()
    for user in range(31):
        address = f"203.0.{user}.1" if user < 4 else POOL[user % 3]
        assert use(population, user, address, NOW + 60 * user) is None, "27 of 31 are under 90%"
    return population


@pytest.mark.parametrize("last", ["203.0.1.1", *POOL])
def test_one_user_who_is_forgotten_tips_it_whoever_comes_next(
    population: Population, last: str
) -> None:
    """From a small network too: 27 of 30 are nine tenths."""
    user = 1 if last == "203.0.1.1" else 4 + (POOL.index(last) - 1) % 3
    assert use(population, user, last, NOW + WINDOW) is None, "nobody is forgotten yet"
    crowd = use(population, user, last, NOW + WINDOW + 1)
    assert crowd == Crowd(GROUPS, 27, 30, last)


def test_a_small_network_alone_tips_nothing(population: Population) -> None:
    for user in range(1, 4):
        assert use(population, user, f"203.0.{user}.1", NOW + WINDOW) is None
    assert use(population, 31, "203.0.31.1", NOW + WINDOW) is None
