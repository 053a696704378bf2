"""Profiles and limits of one role, and of one user, as people meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flow_kit import Site

from gatehound.testing import FakeClock

MakeSite = Callable[..., Site]


def is_in(browser: Any) -> bool:
    return browser.see().user_id is not None


def test_one_user_can_have_limits_of_their_own(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(roles={"user:42": {"max_per_user": 1, "idle_timeout": "10m"}})
    first, second, other = site.browser(), site.browser(), site.browser()
    first.login("42", roles=("member", "user:42"))
    other.login("43", roles=("member", "user:43"))
    second.login("42", roles=("member", "user:42"))
    assert [is_in(one) for one in (first, second, other)] == [False, True, True]
    clock.advance(601)
    assert [is_in(one) for one in (second, other)] == [False, True]


def test_the_profile_of_a_role_ends_its_sessions_sooner(
    make_site: MakeSite, clock: FakeClock
) -> None:
    site = make_site(profile="shop", roles={"admin": {"profile": "nist-aal3"}})
    admin, customer = site.browser(), site.browser()
    admin.login("root", roles=("admin",), remember=True)
    customer.login("alice", remember=True)
    for seconds, expected in ((899, [True, True]), (901, [False, True])):
        clock.advance(seconds)
        assert [is_in(one) for one in (admin, customer)] == expected
    clock.advance(30 * 86400)
    assert not is_in(customer)
