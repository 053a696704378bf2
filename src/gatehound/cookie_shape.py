"""Name and attributes of a cookie, and what browsers refuse.

What belongs here: the shape of the Set-Cookie header. What must not: what is in a cookie, and
whether it verifies (gatehound.cookies).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")  # RFC 6265bis 4.1.1: a token
_DOMAIN = re.compile(r"\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
# RFC 6265bis 4.1.1 forbids controls and ";"; "," would end the header where lines are joined.
# 5.6: browsers ignore an attribute of over 1024 octets.
_PATH = re.compile(r"/[!-+\--:<-~]{0,1023}")
_SAMESITE = {"lax": "Lax", "strict": "Strict", "none": "None"}


@dataclass(frozen=True, slots=True)
class CookieShape:
    """Name and attributes of the cookie. HttpOnly is always on and is no option.

    `domain` None means this host only. `samesite` is lax, strict or none, in any case.
    An illegal shape can be built, so that `problems` can name everything wrong at once;
    `CookieCodec` refuses it.
    """

    name: str = "__Host-gatehound"
    domain: str | None = None
    path: str = "/"
    secure: bool = True
    samesite: str = "lax"
    partitioned: bool = False
    # One byte of the cookie: a change goes unnoticed once in 256, until the next rotation.
    digest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "samesite", self.samesite.lower())
        parts = (self.name, self.domain, self.path, self.secure, self.samesite, self.partitioned)
        # ascii() and not hash(): every process and every release has to agree.
        object.__setattr__(self, "digest", hashlib.sha256(ascii(parts).encode()).digest()[0])

    def problems(self) -> list[str]:
        """Say what a browser would refuse or misread; empty means that the shape is legal.

        Each line names what was given, what is allowed, and the fix.
        """
        checks = (_name_problems, _scope_problems, _secure_problems)
        return [line for check in checks for line in check(self)]


def _name_problems(shape: CookieShape) -> Iterator[str]:
    name, given = shape.name, f"cookie.name: {shape.name!r} was given;"
    if not _TOKEN.fullmatch(name):
        yield (
            f"{given} a cookie name is 1 to 256 letters, digits or !#$%&'*+-.^_`|~ (RFC 6265bis "
            "4.1.1); take the other characters out"
        )
    # RFC 6265bis 5.4: browsers "MUST match the prefix string case-insensitively", servers match
    # the exact one (4.1.3). Another spelling gets the restrictions, and from older browsers no
    # protection at all.
    for prefix in ("__Host-", "__Secure-"):
        if name.lower().startswith(prefix.lower()) and not name.startswith(prefix):
            right = prefix + name[len(prefix) :]
            yield f"{given} the prefix is spelled {prefix!r} (RFC 6265bis 5.4); write {right!r}"


def _scope_problems(shape: CookieShape) -> Iterator[str]:
    domain, path, is_host = shape.domain, shape.path, shape.name.lower().startswith("__host-")
    other = "__Secure-" + shape.name[len("__Host-") :]
    if domain is not None and is_host:
        yield (
            f"cookie.domain: {domain!r} was given; a __Host- cookie allows no Domain "
            f"(RFC 6265bis 4.1.3.2); leave it out, or set cookie.name to {other!r}"
        )
    if domain is not None and not (len(domain) <= 253 and _DOMAIN.fullmatch(domain)):
        yield (
            f"cookie.domain: {domain!r} was given; a domain is one host name in ASCII, without "
            "scheme, port, spaces, controls, ';' or ','; write it as in 'example.com', or leave it "
            "out for this host only"
        )
    if path != "/" and is_host:
        yield (
            f"cookie.path: {path!r} was given; a __Host- cookie allows only '/' "
            f"(RFC 6265bis 4.1.3.2); set it to '/', or set cookie.name to {other!r}"
        )
    if not _PATH.fullmatch(path):
        yield (
            f"cookie.path: {path!r} was given; a path is '/' and at most 1023 visible ASCII "
            "characters other than ';' and ',' (RFC 6265bis 4.1.1); set it to '/', or "
            "percent-encode the rest"
        )


def _secure_problems(shape: CookieShape) -> Iterator[str]:
    if shape.samesite not in _SAMESITE:
        yield (
            f"cookie.samesite: {shape.samesite!r} was given; allowed are 'lax', 'strict' and "
            "'none'; set 'lax', unless other sites embed yours"
        )
    if shape.secure:
        return
    given = "cookie.secure: False was given;"
    if shape.name.lower().startswith(("__host-", "__secure-")):
        yield (
            f"{given} a cookie named {shape.name!r} has to be Secure (RFC 6265bis 4.1.3); set it "
            "to True, or for plain HTTP in development take the prefix off cookie.name"
        )
    if shape.samesite == "none":
        yield (
            f"{given} browsers drop a cookie with samesite 'none' that is not Secure (RFC 6265bis "
            "5.7); set it to True, or cookie.samesite to 'lax'"
        )
    if shape.partitioned:
        yield (
            f"{given} browsers drop a partitioned cookie that is not Secure (CHIPS, draft-cutler-"
            "httpbis-partitioned-cookies); set it to True, best with a __Host- name and path '/'"
        )


def presession_shape(shape: CookieShape) -> CookieShape:
    """The session cookie's, but for Strict: a form reached by a link would replace it."""
    return replace(shape, name=f"{shape.name}-pre", samesite=_lax_at_most(shape))


def anonymous_shape(shape: CookieShape) -> CookieShape:
    """The session cookie's under a name of its own."""
    return replace(shape, name=f"{shape.name}-anonymous")


def device_shape(shape: CookieShape) -> CookieShape:
    """The session cookie's, but for Strict: a provider's page redirects to where people sign in."""
    return replace(shape, name=f"{shape.name}-device", samesite=_lax_at_most(shape))


def _lax_at_most(shape: CookieShape) -> str:
    return "lax" if shape.samesite == "strict" else shape.samesite


def attribute_text(shape: CookieShape) -> str:
    """Return what stands behind the value in a Set-Cookie header."""
    parts = [
        f"Domain={shape.domain}" if shape.domain else "",
        f"Path={shape.path}",
        "Secure" if shape.secure else "",
        "HttpOnly",
        f"SameSite={_SAMESITE[shape.samesite]}",
        "Partitioned" if shape.partitioned else "",
    ]
    return "".join(f"; {part}" for part in parts if part)
