"""A request leaves nothing behind that only the garbage collector would free.

A circle of scope, Visit and request was such a thing: it kept each scope with all its headers
until the collector came, and cost a tenth to two fifths of what the guard adds.
"""

from __future__ import annotations

import gc

import pytest
from speed_kit import Door, play

import zoo
from gatehound.testing import FakeClock

# So many that a guard of a test before, which is let go of late, makes no difference: it is 200
# objects.
REQUESTS = 1000

pytestmark = pytest.mark.slow  # it starts a server where no test before did


def test_a_request_leaves_no_circle(world: str, server: zoo.Server) -> None:
    async def scene(door: Door) -> None:
        await door.sign_in()
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await door.ask()
            assert gc.collect() < REQUESTS  # a circle a request is several objects each
        finally:
            gc.enable()

    play(world, server, scene, FakeClock())
