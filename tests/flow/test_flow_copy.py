"""A guard copies its store into another one, and people stay signed in."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from flow_kit import IDENTITY, OTHER_SECRET, SECRET, Site, run

from gatehound import Guard, SettingsError, UsageError
from gatehound.errors import StoreMismatch
from gatehound.stores.copying import Copied


def guard_over(url: str, identity: str = IDENTITY) -> Guard:
    return Guard({"secret_keys": [SECRET], "identity_key": identity, "store": url})


def call(guard: Guard, world: str, name: str, *args: Any, **options: Any) -> Any:
    result = getattr(guard if world == "asgi" else guard.sync, name)(*args, **options)
    return run(result) if inspect.iscoroutine(result) else result


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path / 'old.db'}", f"sqlite:///{tmp_path / 'new.db'}"


def test_copy_to(urls: tuple[str, str], world: str) -> None:
    old = guard_over(urls[0])
    call(old, world, "disable_user", "mallory")
    steps: list[int] = []
    assert call(old, world, "copy_to", urls[1], progress=steps.append) == Copied(1, 0)
    assert steps == [1]
    new = guard_over(urls[1])
    assert call(new, world, "enable_user", "mallory") is True
    for guard in (old, new):
        call(guard, world, "close")


def test_who_was_signed_in_still_is(urls: tuple[str, str], world: str) -> None:
    old, new = guard_over(urls[0]), guard_over(urls[1])
    here, there = Site(world, old), Site(world, new)
    alice, bob = here.browser(), here.browser()
    public_id = alice.login("alice", roles=("admin",)).public_id
    bob.login("bob")
    call(old, world, "copy_to", urls[1])
    assert bob.call("logout") is True
    call(old, world, "copy_to", urls[1])
    alice.site = bob.site = there
    seen = alice.see()
    assert (seen.user_id, seen.session.public_id) == ("alice", public_id)
    assert seen.session.roles == ("admin",)
    assert bob.see().user_id is None
    assert alice.call("logout") is True
    assert alice.see().user_id is None
    for guard in (old, new):
        call(guard, world, "close")


def test_copy_to_refuses_what_it_must(urls: tuple[str, str], world: str) -> None:
    old = guard_over(urls[0])
    for url, problem in (
        (urls[0], "copy a store into itself"),
        ("memory://", "the store to copy to: memory:// would be gone"),
        ("/var/lib/new.db", "the store to copy to: no URL given"),
    ):
        with pytest.raises((SettingsError, UsageError), match=problem):
            call(old, world, "copy_to", url)
    call(guard_over(urls[1], identity=OTHER_SECRET), world, "disable_user", "mallory")
    with pytest.raises(StoreMismatch, match="the store to copy to: identity_key differs"):
        call(old, world, "copy_to", urls[1])
    call(old, world, "close")
