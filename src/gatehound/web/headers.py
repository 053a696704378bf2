"""What is added to the app's response, and when: cookies and caches.

A response with our Set-Cookie must never be stored by anything but the browser: a shared
cache would hand one user's session to the next. A response that depends on the session says
so with Vary and `private`. Any other response is left alone, so that static files stay
cacheable.
"""

from __future__ import annotations

from gatehound.passage import Passage

Headers = list[tuple[str, str]]

# Headers by which shared caches are told more than Cache-Control says: by the convention of
# RFC 9213 (section 2) their names end like its own, and so do those of most vendors.
TARGETED = "-cache-control"
# Older ones: Edge Architecture (Fastly, Varnish), Akamai, nginx.
CACHE_OVERRIDES = frozenset({"surrogate-control", "edge-control", "x-accel-expires"})
_HARMLESS = frozenset(
    ("Content-Type", "Content-Length", "Date", "Server", "Set-Cookie", "Location")
)
# With all that end in "-control", whatever speaks of caches.
_OF_CACHES = frozenset({b"vary", b"x-accel-expires"})
REPLACED = frozenset({"cache-control", "expires", "pragma"})


def can_carry(status: int) -> bool:
    """True where a response of this status may set a cookie that the client will keep.

    304 updates a stored response and 1xx is none; after 5xx a login is undone.
    """
    return status < 500 and _is_final(status)


def is_due(passage: Passage, status: int) -> bool:
    """True where this response has to change; never on 304 and on 1xx."""
    return bool(passage.cookies or passage.was_read) and _is_final(status)


def changes(passage: Passage, headers: Headers) -> tuple[frozenset[str], Headers]:
    """Say which headers of a response go (lower-case names) and which are added.

    `headers` are those of the app; the adapter leaves the rest of them as they are.
    """
    names = {name.lower() for name, _ in headers}
    overrides = {name for name in names if name in CACHE_OVERRIDES or name.endswith(TARGETED)}
    vary = [] if _varies(headers) else [("Vary", "Cookie")]
    if passage.cookies:
        cookies = [("Set-Cookie", line) for line in passage.cookies.values()]
        return REPLACED | overrides, [("Cache-Control", "private, no-store"), *cookies, *vary]
    if "cache-control" not in names and not overrides:
        vary.insert(0, ("Cache-Control", "private"))
    return frozenset(), vary


def leaves_caches_to_us(name: bytes) -> bool:
    """True for a header that says nothing of caches, by its name as ASGI has it.

    Where all are such, `changes` of a response without cookies adds the same two every time.
    """
    low = name.lower()
    return low not in _OF_CACHES and not low.endswith(b"-control")


def says_nothing_of_caches(headers: Headers) -> bool:
    """True where `leaves_caches_to_us` is of all headers of a response."""
    for name, _ in headers:
        if name not in _HARMLESS and not leaves_caches_to_us(name.encode("latin-1", "replace")):
            return False
    return True


def dress(passage: Passage, headers: Headers) -> Headers:
    """Return the headers of a response with our cookies and cache rules on it."""
    gone, added = changes(passage, headers)
    return [*(pair for pair in headers if pair[0].lower() not in gone), *added]


def _is_final(status: int) -> bool:
    """False for 304 and for 1xx; 101 is the one answer that a websocket's handshake gets."""
    return status == 101 or (status >= 200 and status != 304)


def _varies(headers: Headers) -> bool:
    """True where Vary names Cookie, or everything (RFC 9110, 12.5.5)."""
    named = [value for name, value in headers if name.lower() == "vary"]
    return not {"cookie", "*"}.isdisjoint(
        item.strip().lower() for value in named for item in value.split(",")
    )
