"""What the tombstones of a file tell of sessions that end, also where some of them are gone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlite_kit import bench_at, finish, query

from gatehound.model import EndReason
from gatehound.stores.answer import Ends
from gatehound.stores.sqlite import ends
from gatehound.testing import Bench

Scene = Callable[[Bench], Coroutine[Any, Any, None]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "loop"])
def play(request: pytest.FixtureRequest, path: Path) -> Callable[[Scene], None]:
    def played(scene: Scene) -> None:
        bench = bench_at(path, suspends=request.param)
        finish(bench.store, scene(bench))

    return played


async def since(bench: Bench, place: str) -> Ends:
    return await bench.store.ends(place, wait=0)


async def end(bench: Bench, count: int = 1) -> list[bytes]:
    """End sessions of as many users, and return their sids."""
    made = [await bench.login() for _ in range(count)]
    for new in made:
        await bench.store.revoke(new.alias, reason=EndReason.USER)
    return [new.sid for new in made]


def test_long_news_come_in_pages(
    play: Callable[[Scene], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "PAGE", 2)

    async def scene(bench: Bench) -> None:
        told: list[bytes] = []
        place = (await since(bench, "")).place
        sids = await end(bench, 5)
        for size in (2, 2, 1, 0):
            page = await since(bench, place)
            assert (len(page.sids), page.missed) == (size, False)
            told += page.sids
            place = page.place
        assert told == sids

    play(scene)


def test_tombstones_that_went_already_are_missed(play: Callable[[Scene], None]) -> None:
    async def scene(bench: Bench) -> None:
        alias, place = bench.alias(), (await since(bench, "")).place
        for _ in range(9):
            await bench.login(alias=alias, limit=None)
        await bench.store.revoke(alias, reason=EndReason.USER)
        news = await since(bench, place)
        assert (len(news.sids), news.missed) == (8, True)
        assert await since(bench, news.place) == Ends((), False, False, news.place)

    play(scene)


def test_ids_that_come_back_are_no_places(play: Callable[[Scene], None], path: Path) -> None:
    """The newest rows go when their user is forgotten; SQLite then gives their ids again."""

    async def scene(bench: Bench) -> None:
        await end(bench, 2)
        place = (await since(bench, "")).place
        query(path, "DELETE FROM tombstones WHERE id = (SELECT max(id) FROM tombstones)")
        await end(bench, 1)
        news = await since(bench, place)
        assert (news.missed, news.sids) == (True, ())

    play(scene)


def test_an_empty_file_is_a_place_too(play: Callable[[Scene], None]) -> None:
    async def scene(bench: Bench) -> None:
        place = (await since(bench, "")).place
        assert await since(bench, place) == Ends((), False, False, place)
        sids = await end(bench)
        assert (await since(bench, place)).sids == tuple(sids)

    play(scene)


def test_who_is_forgotten_leaves_no_name_and_nothing_after_a_sweep(
    play: Callable[[Scene], None], path: Path
) -> None:
    async def scene(bench: Bench) -> None:
        new = await bench.login(user_id="anna")
        place = (await since(bench, "")).place
        await bench.store.forget(new.alias, "anna")
        assert (await since(bench, place)).sids == (new.sid,)
        assert query(path, "SELECT alias FROM tombstones") == [(bytes(12),)]
        await bench.store.sweep()
        assert query(path, "SELECT count(*) FROM tombstones") == [(0,)]

    play(scene)
