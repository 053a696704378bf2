"""The shop with names for its users, and pages of admins that come to the end of a slice early.

A store of a test has few sessions, and finds them at once: without this no page would ever say
that there is more to look at.
"""

from __future__ import annotations

from typing import Final

import shop

from gatehound import listing
from gatehound.stores.redis import merge
from gatehound.web.admin import scan

NAMES: Final = {"ada": "Ada Lovelace", "grace": "Grace Hopper", "robin": "Robin Root"}

# A slice is done with the first look at the clock, and is of two sessions.
scan.BUDGET = 0.0  # type: ignore[misc] # the test's
scan.COUNTED_AT_ONCE = 2  # type: ignore[misc] # as above
scan.ENDED_AT_ONCE = 2  # type: ignore[misc] # as above
# Redis reads all sessions for a filter; here two at once.
merge.MAX_SCAN = 2  # type: ignore[misc] # as above
merge._CHUNK = 2  # type: ignore[misc] # as above
listing.EMPTY_PAGES = 1  # type: ignore[misc] # as above
USERS: Final = listing.Users(
    describe=lambda ids: {one: (NAMES[one], "") for one in ids if one in NAMES},
    find=lambda text: [one for one in NAMES if text.lower() in NAMES[one].lower()],
)

asgi, wsgi = shop.asgi, shop.wsgi
for guard in (asgi.guard, wsgi.guard):
    guard.users = USERS
