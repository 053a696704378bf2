"""What is added to the app's response, and when: cookies and caches.

A response with our Set-Cookie must never be stored by anything but the browser: a shared
cache would hand one user's session to the next. A response that depends on the session says
so with Vary and `private`. Any other response is left alone, so that static files stay
cacheable.
"""

from __future__ import annotations

from gatehound.passage import Passage

Headers = list[tuple[str, str]]

# Headers by which shared caches are told more than Cache-Control says (RFC 9213 and kin).
CACHE_OVERRIDES = frozenset(
    {
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "netlify-cdn-cache-control",
        "vercel-cdn-cache-control",
        "surrogate-control",
        "x-accel-expires",
    }
)

REPLACED = CACHE_OVERRIDES | {"cache-control", "expires", "pragma"}


def can_carry(status: int) -> bool:
    """True where a response of this status may set a cookie that the client will keep.

    304 updates a stored response and 1xx is none; after 5xx a login is undone.
    """
    return status == 101 or (200 <= status < 500 and status != 304)


def is_due(passage: Passage, status: int) -> bool:
    """True where this response has to change. 304 updates a stored response: never there."""
    return status != 304 and (passage.cookie_header is not None or passage.was_read)


def changes(passage: Passage, headers: Headers) -> tuple[frozenset[str], Headers]:
    """Say which headers of a response go (lower-case names) and which are added.

    `headers` are those of the app; the adapter leaves the rest of them as they are.
    """
    names = {name.lower() for name, _ in headers}
    vary = [] if _varies(headers) else [("Vary", "Cookie")]
    if passage.cookie_header is not None:
        cookie = ("Set-Cookie", passage.cookie_header)
        return REPLACED, [("Cache-Control", "private, no-store"), cookie, *vary]
    if names.isdisjoint(("cache-control", *CACHE_OVERRIDES)):
        vary.insert(0, ("Cache-Control", "private"))
    return frozenset(), vary


def dress(passage: Passage, headers: Headers) -> Headers:
    """Return the headers of a response with our cookie and cache rules on it."""
    gone, added = changes(passage, headers)
    return [*(pair for pair in headers if pair[0].lower() not in gone), *added]


def _varies(headers: Headers) -> bool:
    """True where Vary names Cookie, or everything (RFC 9110, 12.5.5)."""
    named = [value for name, value in headers if name.lower() == "vary"]
    return not {"cookie", "*"}.isdisjoint(
        item.strip().lower() for value in named for item in value.split(",")
    )
