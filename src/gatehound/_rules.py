"""The rules between settings: what one setting forbids another.

Belongs here: functions over a whole Settings that yield a line for each problem, with what was
given, what is allowed and the fix. Does not: how a value is read (`_reading`), and rules that
need one group alone where the group has them itself (detection, policy, cookie shape).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatehound.detection.pattern import pattern_problems
from gatehound.errors import SettingsError
from gatehound.stores import store_url_problem
from gatehound.stores.record import READS

if TYPE_CHECKING:  # Settings itself asks here, so this is for annotations alone
    from gatehound.settings import RoleSettings, SessionSettings, Settings

MIN_KEY_LENGTH: Final = 32  # characters; `gatehound keygen` makes 43, which are 256 bits
MAX_LIFE: Final = 400 * 86400  # seconds; browsers keep no cookie longer (RFC 6265bis 5.5)
# A browser takes 256 characters, and other cookies are named after this one with a suffix.
MAX_COOKIE_NAME: Final = 240
# What was ended elsewhere is shown for as long, so it is minutes and never hours.
MAX_STALE: Final = 600
# RFC 6454 6.2, which is what Origin holds. Apps that are a web view have schemes of their own.
_ORIGIN: Final = (
    r"[a-z][a-z0-9+.-]*://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)
_USUAL_PORT: Final = r"http://.*:80\Z|https://.*:443\Z"
LANGUAGES: Final = ("en", "de")  # of the pages; web.templates may have more
_LOCAL_URL: Final = r"/(?![/\\])[^\x00-\x20\x7f\\#]*"


def problems_between(settings: Settings) -> Iterator[str]:
    """Yield what is wrong between the settings, a line each."""
    yield from _key_problems(settings)
    yield from _time_problems(settings)
    yield from _other_problems(settings)


def is_said(line: str, problems: list[str]) -> bool:
    """True where the setting that a rule complains of could not even be read."""
    return any(problem.startswith(line.split(":", 1)[0] + ":") for problem in problems)


def _key_problems(settings: Settings) -> Iterator[str]:
    fix = "make one with `gatehound keygen`"
    if not settings.secret_keys:
        yield (
            f"secret_keys: none given; a list of secrets, newest first, is required; {fix}, or "
            "set development to true on your own machine, which makes both keys"
        )
    for position, key in enumerate(settings.secret_keys):
        if len(key) < MIN_KEY_LENGTH:
            yield (
                f"secret_keys[{position}]: {len(key)} characters given; "
                f"at least {MIN_KEY_LENGTH} are required; {fix}"
            )
    if not settings.identity_key:
        yield (
            "identity_key: none given; it names users in the store, is required, and must "
            f"never change afterwards; {fix}"
        )
    elif len(settings.identity_key) < MIN_KEY_LENGTH:
        yield (
            f"identity_key: {len(settings.identity_key)} characters given; "
            f"at least {MIN_KEY_LENGTH} are required; {fix}"
        )
    if settings.identity_key and settings.identity_key in settings.secret_keys:
        yield (
            "identity_key: the same as one of secret_keys; they must differ, because "
            f"secret_keys are rotated and identity_key never is; {fix}"
        )


def _time_problems(settings: Settings) -> Iterator[str]:
    yield from _order_problems("session", settings.session, settings.session)
    yield from _bounds("session", settings.session)
    for name, role in settings.roles.items():
        yield from _order_problems(f"roles.{name}", role, settings.session)
        yield from _bounds(f"roles.{name}", role)
    if settings.session.rotation_grace > 3600:
        yield (
            f"session.rotation_grace: {settings.session.rotation_grace:g} s given; at most an "
            "hour is allowed, because an old secret stays valid for as long"
        )
    anonymous, stale = settings.session.anonymous_timeout, settings.outage.stale_for
    if not 1 <= anonymous <= MAX_LIFE:
        yield f"session.anonymous_timeout: {anonymous:g} s given; allowed are 1 s to 400 days"
    if not 1 <= stale <= MAX_STALE:
        yield (
            f"outage.stale_for: {stale:g} s given; allowed are 1 s to 10 minutes, because a "
            "session that was ended elsewhere is shown for as long"
        )
    if settings.privacy.event_retention < 3600:
        yield (
            f"privacy.event_retention: {settings.privacy.event_retention:g} s given; at least "
            "an hour is needed to find out what happened; set privacy.address_precision to none "
            "to keep less"
        )


def _order_problems(
    where: str, branch: SessionSettings | RoleSettings, session: SessionSettings
) -> Iterator[str]:
    """Compare what holds for one role, the session settings filled in."""

    def held(name: str) -> float:
        value: float | None = getattr(branch, name)
        return getattr(session, name) if value is None else value

    pairs = (
        ("idle_timeout", "absolute_timeout"),
        ("remember_idle_timeout", "remember_timeout"),
    )
    for idle, absolute in pairs:
        if held(idle) > held(absolute) and getattr(branch, idle) is not None:
            yield (
                f"{where}.{idle}: {held(idle):g} s is longer than {absolute} "
                f"({held(absolute):g} s), so it would never be reached; lower it or raise the other"
            )
    if session.touch_interval > held("idle_timeout") / 10:
        yield (
            f"{where}.idle_timeout: session.touch_interval ({session.touch_interval:g} s) is over "
            f"a tenth of it ({held('idle_timeout'):g} s), so that active people would time out "
            f"early; set session.touch_interval to at most {held('idle_timeout') / 10:g}"
        )


def _bounds(where: str, branch: SessionSettings | RoleSettings) -> Iterator[str]:
    for name in ("idle_timeout", "absolute_timeout", "remember_timeout", "remember_idle_timeout"):
        value = getattr(branch, name)
        if value is not None and not 1 <= value <= MAX_LIFE:
            yield f"{where}.{name}: {value:g} s given; allowed are 1 s to 400 days"
    if branch.max_per_user is not None and not 1 <= branch.max_per_user <= 1000:
        yield (
            f"{where}.max_per_user: {branch.max_per_user} given; allowed are 1 to 1000, "
            "or none for no limit"
        )


def _other_problems(settings: Settings) -> Iterator[str]:
    problem = store_url_problem(settings.store_url)
    if problem:
        yield f"store: {problem}"
    yield from _store_problems(settings)
    yield from (f"client_ip: {line}" for line in _raised_by(settings.resolver))
    yield from _raised_by(settings.networks)
    yield from _address_problems(settings)
    for path in settings.ignore_paths:
        if not path.startswith("/"):
            yield f"ignore_paths: {path!r} given; a path prefix begins with /; write '/{path}'"
    if len(settings.cookie.name) > MAX_COOKIE_NAME:
        yield (
            f"cookie.name: {len(settings.cookie.name)} characters given; at most "
            f"{MAX_COOKIE_NAME} are allowed, because the names of other cookies begin with it"
        )
    yield from _step_up_problems(settings)
    yield from _page_problems(settings)
    yield from _csrf_problems(settings)


def _page_problems(settings: Settings) -> Iterator[str]:
    path, url = settings.web.path, settings.web.sign_in_url
    if path is not None and not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", path):
        yield (
            f"web.path: {path!r} given; allowed is a path such as /account/sessions, of letters, "
            "digits and . _ ~ -, without a slash at its end"
        )
    elif path is not None and f"{path}/".startswith(settings.ignore_paths):
        yield (
            f"web.path: {path!r} given, which ignore_paths names: no session is looked up there, "
            "so that everybody would be told to sign in; take it out of ignore_paths"
        )
    for name, other in (("sign_in_url", url), ("step_up_url", settings.web.step_up_url)):
        if path is not None and other is not None and _is_below(other, path):
            yield (
                f"web.{name}: {other!r} given, which is below web.path {path!r}, where only pages "
                "of gatehound are: move one of the two"
            )
    for name in ("sign_in_url", "password_url", "home_url"):
        given = getattr(settings.web, name)
        if given is not None and not re.fullmatch(_LOCAL_URL, given):
            yield f"web.{name}: {given!r} given; allowed is a path of this site, such as /sign-in"
    folder, language = settings.web.templates, settings.web.language
    if language not in ("auto", *LANGUAGES) and not _has_words(folder, language):
        yield (
            f"web.language: {language!r} given; allowed are auto, {', '.join(LANGUAGES)}, and "
            "what the folder web.templates has as locale/LANGUAGE/LC_MESSAGES/gatehound.mo"
        )
    if folder is not None and not Path(folder).is_dir():
        yield (
            f"web.templates: {folder!r} given, which is no folder here; make it, or leave it out"
        )


def _has_words(folder: str | None, language: str) -> bool:
    words = f"locale/{language}/LC_MESSAGES/gatehound.mo"
    return (
        folder is not None and language.replace("_", "").isalnum() and Path(folder, words).is_file()
    )


def _is_below(url: str, path: str) -> bool:
    return f"{url.partition('?')[0]}/".startswith(f"{path}/")


def _step_up_problems(settings: Settings) -> Iterator[str]:
    url, opened = settings.web.step_up_url, settings.web.step_up_open
    if url is not None and not re.fullmatch(_LOCAL_URL, url):
        yield (
            f"web.step_up_url: {url!r} given; allowed is a path of this site, such as "
            "/sign-in/again"
        )
    elif url is not None and url.startswith(settings.ignore_paths):
        yield (
            f"web.step_up_url: {url!r} given, which ignore_paths names: no session is looked up "
            "there, so that nobody could prove anything; take it out of ignore_paths"
        )
    yield from pattern_problems("web.step_up_open", opened)
    for pattern in opened:
        if _is_every_path(pattern):
            yield (
                f"web.step_up_open: {pattern!r} given, which is every path, so that nobody would "
                "be asked; name paths, or set detection.mode to flag"
            )
    for pattern in settings.policy.fresh_paths:
        if re.split(r"[*?[]", pattern.rpartition(" ")[2])[0].startswith(settings.ignore_paths):
            yield (
                f"policy.fresh_paths: {pattern!r} given, which ignore_paths names: no session is "
                "looked up there, so that nobody would be asked; take it out of one of the two"
            )


def _csrf_problems(settings: Settings) -> Iterator[str]:
    yield from pattern_problems("csrf.exempt", settings.csrf.exempt)
    for pattern in settings.csrf.exempt:
        if _is_every_path(pattern):
            yield (
                f"csrf.exempt: {pattern!r} given, which is every path, so that nothing would be "
                "refused; name paths, or set csrf.protect to false"
            )
    for origin in settings.csrf.trusted_origins:
        if not re.fullmatch(_ORIGIN, origin) or re.match(_USUAL_PORT, origin):
            yield (
                f"csrf.trusted_origins: {origin!r} given; allowed is an origin as browsers send "
                "it, such as https://admin.example or https://admin.example:8443: ASCII in lower "
                "case, no path, no slash at its end, no port that is the usual one"
            )


def _is_every_path(pattern: str) -> bool:
    return "*" in pattern and not pattern.rpartition(" ")[2].strip("/*?")


def _store_problems(settings: Settings) -> Iterator[str]:
    options = settings.store_options
    if not 0 <= options.wait_replicas <= 10:
        yield (
            f"store_options.wait_replicas: {options.wait_replicas} given; allowed are 0, for not "
            "waiting, to 10"
        )
    if options.write_version not in READS:
        allowed = ", ".join(str(version) for version in sorted(READS))
        yield (
            f"store_options.write_version: {options.write_version} given; this release writes "
            f"{allowed}; leave it out for the newest"
        )


def _address_problems(settings: Settings) -> Iterator[str]:
    address, precision = settings.client_ip, settings.privacy.address_precision
    if settings.detection.ip_shift == "strict" and precision != "full":
        yield (
            f"detection.ip_shift: strict compares whole addresses, and privacy.address_precision "
            f"{precision} does not keep them; set one of the two to its default"
        )
    if address.mode == "remote-addr" and address.trusted_proxies:
        yield (
            "client_ip.trusted_proxies: given, but client_ip.mode remote-addr reads no header; "
            "set client_ip.mode to x-forwarded-for (or what your proxy writes)"
        )
    if address.mode in ("x-forwarded-for", "forwarded", "x-real-ip") and not (
        address.trusted_proxies or address.trust_everyone
    ):
        yield (
            f"client_ip.mode: {address.mode} given without client_ip.trusted_proxies, so that no "
            "header is ever read; list the addresses of your proxies"
        )


def _raised_by(build: Callable[[], object]) -> tuple[str, ...]:
    try:
        build()
    except SettingsError as error:
        return error.problems
    return ()
