"""What the state machine of stores asks with: hypothesis strategies of small ranges.

Few values each, so that a run meets the same one again: the same pair, the same network, the
same instant.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from gatehound.model import EndReason, Event
from gatehound.stores.record import FLAGGED, REMEMBERED, STEP_UP, Seen
from gatehound.testing.bench import DAY, HOUR, MINUTE

USERS: Final = ("anna", "zoë", "nul \x00 and \N{GRINNING FACE}")
AGENTS: Final = {b"agent1": "Made up/1", b"agent2": "Ünïcode/2", b"agent3": ""}
PAIRS: Final = (b"", b"pair 1", b"pair 2")
SECRETS: Final = ("current", "before", "older", "wrong")
ADDRESSES: Final = (b"", bytes([192, 0, 2, 7]), bytes([192, 0, 2, 200]), b"\x20\x01" + bytes(14))
NAMES: Final = ("login_failed", "session_flagged", "session_created")

users = st.integers(0, len(USERS) - 1)
picks = st.integers(0, 30)
secrets = st.sampled_from(SECRETS)
touches = st.sampled_from([None, 0, 1, MINUTE, 10 * MINUTE])
graces = st.sampled_from([None, 1000, MINUTE, 20 * MINUTE])
steps = st.sampled_from([1, 999, 59_999, MINUTE, MINUTE, 5 * MINUTE, HOUR, 13 * HOUR, 15 * DAY])
offsets = st.sampled_from([-1, 0, 0, 1])
windows = st.sampled_from([MINUTE, HOUR])
flags = st.sampled_from([0, FLAGGED, STEP_UP, REMEMBERED | FLAGGED])
reasons = st.sampled_from([EndReason.LOGOUT, EndReason.USER, EndReason.PASSWORD_CHANGED])
texts = st.sampled_from([b"", b"one", b"\x00\xff"])
fields = st.sampled_from(["a", "n", "naïve \N{GRINNING FACE}"])
values = st.sampled_from([b"", b"7", b"-9223372036854775808", b"x\x00"])
pages = st.sampled_from([1, 2, 3, 50])
templates = st.sampled_from(
    [None, Event("session_terminated", reason="by you", address="192.0.2.1", detail={"n": 1})]
)


@st.composite
def seens(draw: st.DrawFn) -> Seen:
    """Where a browser may be; last seen is a little before or after the start of the clock."""
    address = draw(st.sampled_from(ADDRESSES))
    country = draw(st.sampled_from(["", "NO", "SE"]))
    agent = draw(st.sampled_from(sorted(AGENTS)))
    newest = draw(st.sampled_from(PAIRS))
    older = draw(st.sampled_from(PAIRS)) if newest else b""
    return Seen(0, address, country, 3143244, agent, (newest, older))


logins: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "seen": seens(),
        "idle": st.sampled_from([2 * MINUTE, HOUR, HOUR, 30 * DAY]),
        "absolute": st.sampled_from([5 * MINUTE, 12 * HOUR, 60 * DAY]),
        "roles": st.sampled_from([(), ("editor",), ("admin", "a,b")]),
        "flags": flags,
        "memory": texts,
        "limit": st.sampled_from([None, 1, 2, 3]),
        "on_limit": st.sampled_from(["oldest", "oldest", "deny"]),
    }
)

proofs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "grace": graces,
        "authenticated": st.booleans(),
        "methods": st.sampled_from([None, ("password", "totp")]),
        "aal": st.sampled_from([None, 2]),
        "absolute": st.sampled_from([None, 10 * MINUTE, 20 * DAY]),
        "clear_flags": flags,
    }
)

filters: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "flagged": st.booleans(),
        "country": st.sampled_from(["", "NO", "SE"]),
        "network": st.sampled_from(
            [(bytes([192, 0, 2, 0]), 25), (bytes(4), 0), (b"\x20\x01" + bytes(14), 16)]
        ),
    },
)
