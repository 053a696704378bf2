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


def is_due(passage: Passage, status: int) -> bool:
    """True where this response has to change. 304 updates a stored response: never there."""
    return status != 304 and (passage.cookie_header is not None or passage.was_read)


def dress(passage: Passage, headers: Headers) -> Headers:
    """Return the headers of a response with our cookie and cache rules on it."""
    if passage.cookie_header is not None:
        kept = [
            pair
            for pair in headers
            if pair[0].lower() not in CACHE_OVERRIDES
            and pair[0].lower() not in ("cache-control", "expires", "pragma")
        ]
        kept.append(("Cache-Control", "private, no-store"))
        kept.append(("Set-Cookie", passage.cookie_header))
        return _vary(kept)
    if not any(name.lower() in ("cache-control", *CACHE_OVERRIDES) for name, _ in headers):
        headers = [*headers, ("Cache-Control", "private")]
    return _vary(headers)


def _vary(headers: Headers) -> Headers:
    """Add Cookie to Vary (RFC 9110, 12.5.5), once."""
    named = [value for name, value in headers if name.lower() == "vary"]
    listed = {item.strip().lower() for value in named for item in value.split(",")}
    return headers if listed & {"cookie", "*"} else [*headers, ("Vary", "Cookie")]
