"""Find what the cookie, forms and pages leave open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gatehound.audit.spans import span
from gatehound.clientip.check import Finding
from gatehound.settings import Settings

_ADMIN_IDLE: Final = 900.0  # of the profile admin: NIST SP 800-63B-4, 2.3.3


def cookie_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the attributes of the session cookie."""
    cookie = settings.cookie
    if not cookie.secure:
        yield Finding(
            "note" if settings.development else "danger",
            "cookie-not-secure",
            "The session cookie also travels over plain HTTP, where anybody on the way reads it "
            "(OWASP ASVS 5.0, 3.3.1).",
            "remove cookie.secure and serve the app over HTTPS",
        )
    elif not cookie.name.startswith("__Host-"):
        yield Finding(
            "warning",
            "cookie-no-host-prefix",
            "A subdomain can set a cookie of this name for the whole site (OWASP ASVS 5.0, 3.3.3).",
            "use cookie.name __Host-gatehound with no cookie.domain",
        )
    if cookie.domain is not None:
        yield Finding(
            "warning",
            "cookie-shared",
            f"Every host below {cookie.domain} is sent the cookie, and can use it "
            "(NIST SP 800-63B-4, 5.1.1: the minimum practical hostnames).",
            "leave out cookie.domain",
        )
    if cookie.samesite == "none":
        yield from _cross_site_findings(settings)


def _cross_site_findings(settings: Settings) -> Iterator[Finding]:
    if not settings.csrf.protect:
        yield Finding(
            "warning",
            "cookie-cross-site",
            "cookie.samesite is none and csrf.protect is false: forms of other sites act as your "
            "users (NIST SP 800-63B-4, 5.1.1: Lax or Strict).",
            "set cookie.samesite to lax, or csrf.protect to true",
        )
    if not settings.cookie.partitioned:
        yield Finding(
            "note",
            "cookie-not-partitioned",
            "cookie.samesite is none and cookie.partitioned is false: one session is shared by "
            "all sites that show yours in a frame, and browsers block such cookies more and more.",
            "set cookie.partitioned to true, or cookie.samesite to lax",
        )


def csrf_findings(settings: Settings) -> Iterator[Finding]:
    """Look at what other sites may make a browser send."""
    csrf = settings.csrf
    unused = [name for name in ("exempt", "trusted_origins") if getattr(csrf, name)]
    if not csrf.protect:
        if unused:
            yield Finding(
                "warning",
                "csrf-without-effect",
                f"{' and '.join(f'csrf.{name}' for name in unused)} given, and csrf.protect is "
                "false: nothing is refused, so nothing is exempt.",
                "set csrf.protect to true, or leave the others out",
            )
        return
    broad = [one for one in csrf.exempt if len(_fixed(one)) <= 1]
    if broad:
        yield Finding(
            "warning",
            "csrf-exempt-broad",
            f"csrf.exempt names {', '.join(broad)}, which paths of any kind match: other sites "
            "may ask those (NIST SP 800-63B-4, 5.1).",
            "name the whole paths that other sites' pages call",
        )
    plain = [one for one in csrf.trusted_origins if one.startswith("http://")]
    if plain and settings.cookie.secure:
        yield Finding(
            "warning",
            "csrf-origin-plain",
            f"csrf.trusted_origins names {', '.join(plain)}: who is on the way to it writes its "
            "pages, and acts here.",
            "serve it over HTTPS, and name that origin",
        )


def _fixed(pattern: str) -> str:
    """The part of a path pattern before its first wildcard."""
    return re.split(r"[*?[]", pattern.rpartition(" ")[2])[0]


def page_findings(settings: Settings) -> Iterator[Finding]:
    """Look at pages, and at the ways to them."""
    web = settings.web
    if "/" in settings.ignore_paths:
        yield Finding(
            "danger",
            "sessions-ignored",
            "ignore_paths names /, which begins every path: no session is ever looked up.",
            "name the prefixes of static files and health checks",
        )
    if not web.require_fresh:
        yield Finding(
            "note",
            "fresh-waived",
            "web.require_fresh is false: who finds an open browser sees and ends the sessions of "
            "its user (a deviation from OWASP ASVS 5.0, 7.5.2).",
            "remove web.require_fresh, or write down why",
        )
    if web.step_up_url is None:
        yield from _proof_findings(settings)
    if web.path is not None and web.sign_in_url is None:
        yield Finding(
            "note",
            "no-sign-in-url",
            "Who is signed out is told so on the pages, and not where to sign in.",
            "set web.sign_in_url",
        )
    if web.admin_path is not None:
        yield from _admin_findings(settings)


def _proof_findings(settings: Settings) -> Iterator[Finding]:
    """Say what a page on which people prove themselves is missing for; once, the worst."""
    web = settings.web
    fix = "set web.step_up_url"
    if settings.detection.mode in ("step-up", "strict"):
        yield Finding(
            "warning",
            "no-step-up-page",
            f"detection.mode is {settings.detection.mode}, and nobody can be asked for a proof.",
            fix,
        )
    elif settings.policy.fresh_paths:
        yield Finding(
            "warning",
            "fresh-paths-dead",
            f"policy.fresh_paths is set: {span(settings.session.fresh_for)} after signing in "
            "nobody reaches those without signing in anew.",
            fix,
        )
    elif (web.path is None and web.admin_path is None) or not web.require_fresh:
        yield Finding(
            "note",
            "step-up-missing",
            "No page asks people again who they are before a sensitive change "
            "(OWASP ASVS 5.0, 7.5.1).",
            fix,
        )
    if web.require_fresh and (web.path is not None or web.admin_path is not None):
        yield Finding(
            "warning",
            "no-way-to-be-fresh",
            f"{span(settings.session.fresh_for)} after signing in nobody sees their sessions on "
            "the pages without signing in anew (OWASP ASVS 5.0, 7.5.2).",
            "set web.step_up_url, or web.require_fresh to false",
        )


def _admin_findings(settings: Settings) -> Iterator[Finding]:
    roles = settings.web.admin_roles
    if not roles:
        yield Finding(
            "warning",
            "admin-roles-empty",
            "web.admin_path is set and web.admin_roles is empty: nobody may see those pages.",
            "name in web.admin_roles who may see and end everybody's sessions",
        )
        return
    loose = [role for role in roles if _is_as_everyone(settings, role)]
    if loose:
        yield Finding(
            "note",
            "admin-timeouts",
            f"Who may end everybody's sessions ({', '.join(loose)}) has the timeouts of everybody "
            "(OWASP ASVS 5.0, 7.3.1: according to risk).",
            f"set {', '.join(_stricter(settings, loose))}",
        )


def _stricter(settings: Settings, roles: list[str]) -> Iterator[str]:
    """Say what gives each role a shorter timeout: over a profile what is written wins."""
    for role in roles:
        if role in settings.roles:
            yield f"roles.{role}.idle_timeout to {span(_ADMIN_IDLE)}"
        else:
            yield f"roles.{role}.profile to admin"
    if settings.session.touch_interval > _ADMIN_IDLE / 10:  # else it is refused
        yield f"session.touch_interval to {span(_ADMIN_IDLE / 10)}"


def _is_as_everyone(settings: Settings, role: str) -> bool:
    """True where a role has no shorter timeout, and everybody's idle one is over half an hour."""
    own = settings.limits((role,), remembered=False)
    all_others = settings.limits((), remembered=False)
    return own.idle >= all_others.idle > 1800 and own.absolute >= all_others.absolute
