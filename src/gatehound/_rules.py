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
    from gatehound.settings import (
        NotifySettings,
        RoleSettings,
        SessionSettings,
        Settings,
        WebSettings,
    )

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
    yield from _profile_problems(settings)
    yield from _key_problems(settings)
    yield from _time_problems(settings)
    yield from _other_problems(settings)


def doubts(settings: Settings, *, has_data: bool) -> Iterator[str]:
    """Yield what is allowed and worth a line at the start, because it asks for more than it does.

    `has_data`: a database of networks is open, or nobody would look at it.
    """
    mode, web = settings.detection.mode, settings.web
    if settings.development:
        yield "development mode: answers loopback only, and never real users"
    if not has_data:
        yield (
            "detection.city_database and detection.asn_database are not set: evidence comes from "
            "browsers, address prefixes and lists alone; set both to judge by country and provider "
            "too"
        )
    if settings.policy.terminate is not None and mode not in ("step-up", "strict"):
        yield (
            f"policy.terminate is set and detection.mode is {mode}, which ends nothing: set the "
            "mode to step-up or strict, or leave policy.terminate out"
        )
    if web.path is not None and web.require_fresh and web.step_up_url is None:
        yield (
            f"web.path is set and web.step_up_url is not: {settings.session.fresh_for / 60:g} "
            "minutes after signing in nobody sees their sessions without doing so anew; set it, or "
            "web.require_fresh to false"
        )
    if web.admin_path is not None and web.require_fresh and web.step_up_url is None:
        yield (
            f"web.admin_path is set and web.step_up_url is not: {settings.session.fresh_for / 60:g}"
            " minutes after signing in no admin ends anything without doing so anew; set it, or "
            "web.require_fresh to false"
        )
    if mode in ("step-up", "strict") and web.step_up_url is None:
        yield (
            f"detection.mode is {mode} and web.step_up_url is not set: nobody can be asked to "
            "sign in again, so a step-up becomes a notification"
        )


def is_said(line: str, problems: list[str]) -> bool:
    """True where the setting that a rule complains of could not even be read."""
    return any(problem.startswith(line.split(":", 1)[0] + ":") for problem in problems)


def _profile_problems(settings: Settings) -> Iterator[str]:
    roles = ((f"roles.{name}.profile", role.profile) for name, role in settings.roles.items())
    for where, names in (("profile", settings.profile), *roles):
        if not names:
            continue
        from gatehound.profiles import PROFILES  # most settings name none

        for name in names:
            if name not in PROFILES:
                yield f"{where}: {name!r} given; allowed are {', '.join(PROFILES)}"


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
    if settings.notify != type(settings.notify)():
        from gatehound import _notify_rules  # few processes send anything

        yield from _notify_rules.problems(settings.notify)
        yield from _look_problems("notify", settings.notify, LANGUAGES)


def _page_problems(settings: Settings) -> Iterator[str]:
    for name in ("path", "admin_path"):
        yield from _path_problems(settings, name)
    if settings.web.admin_path is not None and settings.web.admin_path == settings.web.path:
        yield (
            f"web.admin_path: {settings.web.admin_path!r} given, which is web.path too: give the "
            "pages of admins a path of their own, such as /admin/security"
        )
    for name in ("sign_in_url", "password_url", "home_url"):
        given = getattr(settings.web, name)
        if given is not None and not re.fullmatch(_LOCAL_URL, given):
            yield f"web.{name}: {given!r} given; allowed is a path of this site, such as /sign-in"
    yield from _look_problems("web", settings.web, ("auto", *LANGUAGES))


def _look_problems(
    group: str, look: WebSettings | NotifySettings, allowed: tuple[str, ...]
) -> Iterator[str]:
    folder, language = look.templates, look.language
    if language not in allowed and not _has_words(folder, language):
        yield (
            f"{group}.language: {language!r} given; allowed are {', '.join(allowed)}, and "
            f"what the folder {group}.templates has as locale/LANGUAGE/LC_MESSAGES/gatehound.mo"
        )
    if folder is not None and not Path(folder).is_dir():
        yield (
            f"{group}.templates: {folder!r} given, which is no folder here; make it, or leave "
            "it out"
        )


def _path_problems(settings: Settings, name: str) -> Iterator[str]:
    path, url = getattr(settings.web, name), settings.web.sign_in_url
    if path is None:
        return
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", path):
        yield (
            f"web.{name}: {path!r} given; allowed is a path such as /account/sessions, of letters, "
            "digits and . _ ~ -, without a slash at its end"
        )
    elif f"{path}/".startswith(settings.ignore_paths):
        yield (
            f"web.{name}: {path!r} given, which ignore_paths names: no session is looked up there, "
            "so that everybody would be told to sign in; take it out of ignore_paths"
        )
    for other_name, other in (("sign_in_url", url), ("step_up_url", settings.web.step_up_url)):
        if other is not None and _is_below(other, path):
            yield (
                f"web.{other_name}: {other!r} given, which is below web.{name} {path!r}, where "
                "only pages of gatehound are: move one of the two"
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
