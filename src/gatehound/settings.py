"""Every setting, with its default and the reason for it.

`Settings.from_dict` and `Settings.from_env` read them; reading itself is in `_reading`.
Anything wrong (an unknown key, a value that cannot be read, a rule between two settings) is
collected, and raised as one SettingsError that says for each what was given, what is allowed
and how to mend it. A Settings object is frozen; durations in it are seconds.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from gatehound._reading import in_words_of, nest_environment, read_struct
from gatehound.clientip import ClientIPResolver
from gatehound.cookies import CookieShape
from gatehound.detection import Networks
from gatehound.detection.activity import ActivitySettings
from gatehound.detection.policy import DetectionSettings, PolicySettings
from gatehound.errors import SettingsError
from gatehound.model import Duration
from gatehound.stores import (
    default_store_url,
    development_keys,
    development_keys_path,
    store_url_problem,
)

log = logging.getLogger("gatehound")

MIN_KEY_LENGTH = 32  # characters; `gatehound keygen` makes 43, which are 256 bits
NAMESPACE_PATTERN = "^[a-z0-9-]{1,32}$"


class ClientIPSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the client's address comes from; see gatehound.clientip."""

    mode: str = "remote-addr"  # reads no header: right for every app with no proxy before it
    trusted_proxies: tuple[str, ...] = ()  # nobody: a header is only as good as who wrote it
    trust_everyone: bool = False  # must be said by name
    hops: int | None = None  # with x-forwarded-for: take this entry from the right
    header: str | None = None  # with mode header: the one to read
    edge_overwrites: bool = False  # some edges pass on a client's own value of their header
    edge_secret: tuple[str, ...] = ()  # header, value (older value): second factor of an edge
    allow_headerless: tuple[str, ...] = ()  # trusted peers that send none: health checkers
    scheme_header: str | None = None  # what the proxy overwrites, if it does
    host_header: str | None = None
    on_all_trusted: Literal["farthest", "unresolved"] = "farthest"
    peer_port: bool = False  # REMOTE_ADDR carries a port, as on some platforms
    cloudflare_ranges: str | None = None  # a newer list than the bundled one

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ClientIPSettings(mode={self.mode!r}, trusted_proxies={self.trusted_proxies!r})"


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long sessions live, and how many a user may have."""

    idle_timeout: Duration = 3600.0  # Guard Dog's default; NIST 800-63B AAL2: at most 1 h
    absolute_timeout: Duration = 12 * 3600.0  # NIST 800-63B AAL2 re-authentication: 12 h
    remember_timeout: Duration = 14 * 86400.0  # WordPress's "remember me"
    remember_idle_timeout: Duration = 14 * 86400.0
    touch_interval: Duration = 60.0  # one write a minute a session is all that sliding needs
    rotate_every: Duration | None = None  # off: the secret changes at sign-in and step-up only
    rotation_grace: Duration = 60.0  # requests in flight while the secret changes
    fresh_for: Duration = 600.0  # how long a sign-in counts as fresh for sensitive routes
    max_per_user: int | None = 5  # Guard Dog's default; None: no limit
    on_limit: Literal["oldest", "deny"] = "oldest"  # nobody is locked out by an old session


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is stricter or looser for one role; None leaves it as it is for everyone."""

    idle_timeout: Duration | None = None
    absolute_timeout: Duration | None = None
    remember_timeout: Duration | None = None
    remember_idle_timeout: Duration | None = None
    fresh_for: Duration | None = None
    max_per_user: int | None = None
    on_limit: Literal["oldest", "deny"] | None = None


class CookieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Name and attributes of the session cookie. HttpOnly is always on."""

    name: str = "__Host-gatehound"  # the prefix makes browsers refuse it from a subdomain
    domain: str | None = None
    path: str = "/"
    secure: bool = True
    samesite: Literal["lax", "strict", "none"] = "lax"
    partitioned: bool = False


class OutageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens while the store does not answer."""

    policy: Literal["deny", "anonymous"] = "deny"  # reading the session answers 503
    retry_after: Duration = 5.0  # what the 503 tells the client to wait


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of people, and for how long."""

    event_retention: Duration = 90 * 86400.0
    address_precision: Literal["full", "network", "none"] = "full"


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Pages that the app or gatehound serves."""

    step_up_url: str | None = None  # where a person proves who they are again; None: no such page


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one session: durations in seconds, and how many a user may have."""

    idle: float
    absolute: float
    max_per_user: int | None
    on_limit: Literal["oldest", "deny"]
    fresh_for: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole tree; build it with `from_dict` or `from_env`."""

    secret_keys: tuple[str, ...] = ()  # newest first; older ones still open cookies
    identity_key: str = ""  # never rotated: it names users in the store
    namespace: Annotated[str, msgspec.Meta(pattern=NAMESPACE_PATTERN)] = "default"
    store: str = ""  # "": a SQLite file in the user's state folder
    check_store_at_start: bool = True  # False: an unreachable store is found at first use
    development: bool = False  # own keys, cookies over plain HTTP, loopback only
    ignore_paths: tuple[str, ...] = ()  # prefixes on which no session is looked up
    client_ip: ClientIPSettings = msgspec.field(default_factory=ClientIPSettings)
    session: SessionSettings = msgspec.field(default_factory=SessionSettings)
    roles: dict[str, RoleSettings] = msgspec.field(default_factory=dict)
    cookie: CookieSettings = msgspec.field(default_factory=CookieSettings)
    activity: ActivitySettings = msgspec.field(default_factory=ActivitySettings)
    detection: DetectionSettings = msgspec.field(default_factory=DetectionSettings)
    policy: PolicySettings = msgspec.field(default_factory=PolicySettings)
    outage: OutageSettings = msgspec.field(default_factory=OutageSettings)
    privacy: PrivacySettings = msgspec.field(default_factory=PrivacySettings)
    web: WebSettings = msgspec.field(default_factory=WebSettings)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Read settings from a (nested) dict; SettingsError with every problem found."""
        return cls._read(data, text=False, prefix="", separator=".")

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, prefix: str = "GATEHOUND_"
    ) -> Settings:
        """Read settings from environment variables.

        Nesting is by two underscores (`GATEHOUND_CLIENT_IP__MODE`), lists are comma-separated,
        and an empty value means "not set".
        """
        return cls._read(
            nest_environment(environ, prefix), text=True, prefix=prefix, separator="__"
        )

    @classmethod
    def _read(cls, data: Mapping[str, Any], *, text: bool, prefix: str, separator: str) -> Settings:
        problems: list[str] = []
        settings = read_struct(cls, data, problems, text=text, prefix=prefix, separator=separator)
        if settings.development:
            settings = _for_development(settings, data)
        # A value that could not be read stands at its default here, so that the rules
        # between settings are still checked and all problems come in one message.
        told = [in_words_of(line, cls, text, prefix) for line in settings.problems()]
        problems += [line for line in told if not _is_said(line, problems)]
        if problems:
            raise SettingsError(problems)
        return settings

    def problems(self) -> list[str]:
        """Say what is wrong between the settings, a line each; empty: nothing."""
        return [
            *_key_problems(self),
            *_time_problems(self),
            *_other_problems(self),
            *self.cookie_shape().problems(),
            *self.detection.problems(),
            *self.policy.problems(),
        ]

    def resolver(self) -> ClientIPResolver:
        """Build the address resolver; SettingsError says what is wrong with its settings."""
        return ClientIPResolver(**msgspec.structs.asdict(self.client_ip))

    def networks(self) -> Networks:
        """Open the geo databases; SettingsError says which cannot be used, and why."""
        detection = self.detection
        return Networks(
            city=detection.city_database,
            asn=detection.asn_database,
            v4_prefix=detection.v4_prefix,
            v6_prefix=detection.v6_prefix,
        )

    def cookie_shape(self) -> CookieShape:
        """Build the name and attributes of the session cookie."""
        return CookieShape(**msgspec.structs.asdict(self.cookie))

    def limits(self, roles: tuple[str, ...], *, remembered: bool) -> Limits:
        """Return what holds for a user with these roles: the strictest that any of them asks.

        A role replaces what the session settings say; of two roles the stricter wins.
        """
        session = self.session
        named = [self.roles[role] for role in roles if role in self.roles]
        prefix = "remember_" if remembered else ""
        absolute = "remember_timeout" if remembered else "absolute_timeout"

        def least(name: str) -> Any:
            values = [getattr(role, name) for role in named]
            return min((v for v in values if v is not None), default=getattr(session, name))

        policies = {role.on_limit or session.on_limit for role in named} or {session.on_limit}
        on_limit: Literal["oldest", "deny"] = "deny" if "deny" in policies else "oldest"
        return Limits(
            idle=least(f"{prefix}idle_timeout"),
            absolute=least(absolute),
            max_per_user=least("max_per_user"),
            on_limit=on_limit,
            fresh_for=least("fresh_for"),
        )

    @property
    def store_url(self) -> str:
        """The store's URL, the default filled in."""
        return self.store or default_store_url(self.namespace, development=self.development)

    def __repr__(self) -> str:
        """Show no secret."""
        return (
            f"Settings(namespace={self.namespace!r}, client_ip={self.client_ip.mode!r}, "
            f"detection={self.detection.mode!r}, {len(self.secret_keys)} secret keys)"
        )


def _for_development(settings: Settings, data: Mapping[str, Any]) -> Settings:
    """Fill in keys, and a cookie that browsers keep over plain HTTP on loopback."""
    changes: dict[str, Any] = {}
    if not settings.secret_keys or not settings.identity_key:
        secret, identity = development_keys(settings.namespace)
        path = development_keys_path(settings.namespace)
        log.warning("development mode: its own keys were made, and are kept in %s", path)
        changes["secret_keys"] = settings.secret_keys or (secret,)
        changes["identity_key"] = settings.identity_key or identity
    if "cookie" not in data:
        changes["cookie"] = CookieSettings(name="gatehound", secure=False)
    return msgspec.structs.replace(settings, **changes)


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
        if value is not None and not 1 <= value <= 400 * 86400:
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
    yield from (f"client_ip: {line}" for line in _raised_by(settings.resolver))
    yield from _raised_by(settings.networks)
    yield from _address_problems(settings)
    for path in settings.ignore_paths:
        if not path.startswith("/"):
            yield f"ignore_paths: {path!r} given; a path prefix begins with /; write '/{path}'"
    url = settings.web.step_up_url
    if url is not None and not re.fullmatch(r"/(?![/\\])[^\x00-\x20\x7f\\]*", url):
        yield (
            f"web.step_up_url: {url!r} given; allowed is a path of this site, such as "
            "/sign-in/again"
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


def _is_said(line: str, problems: list[str]) -> bool:
    """True where the setting that a rule complains of could not even be read."""
    return any(problem.startswith(line.split(":", 1)[0] + ":") for problem in problems)
