"""Every setting, with its default and the reason for it.

`Settings.from_dict` and `Settings.from_env` read them; reading itself is in `_reading`, the
rules between settings are in `_rules`.
Anything wrong (an unknown key, a value that cannot be read, a rule between two settings) is
collected, and raised as one SettingsError that says for each what was given, what is allowed
and how to mend it. A Settings object is frozen; durations in it are seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from gatehound._reading import in_words_of, nest_environment, read_struct
from gatehound._rules import is_said, problems_between
from gatehound.clientip import ClientIPResolver
from gatehound.cookie_shape import CookieShape
from gatehound.detection import Networks
from gatehound.detection.activity import ActivitySettings
from gatehound.detection.policy import PolicySettings
from gatehound.detection.settings import DetectionSettings
from gatehound.errors import SettingsError
from gatehound.model import Duration
from gatehound.stores import default_store_url, development_keys, development_keys_path
from gatehound.stores.record import VERSION

log = logging.getLogger("gatehound")

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

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show none to rich either, whose tracebacks show local variables."""
        return [("mode", self.mode)]


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long sessions live, and how many a user may have."""

    idle_timeout: Duration = 3600.0  # Guard Dog's default; NIST 800-63B AAL2: at most 1 h
    absolute_timeout: Duration = 12 * 3600.0  # NIST SP 800-63B-3, 4.2.3: 12 h (revision 4: 24 h)
    remember_timeout: Duration = 14 * 86400.0  # WordPress's "remember me"
    remember_idle_timeout: Duration = 14 * 86400.0
    touch_interval: Duration = 60.0  # one write a minute a session is all that sliding needs
    rotate_every: Duration | None = None  # off: the secret changes at sign-in and step-up only
    rotation_grace: Duration = 60.0  # requests in flight while the secret changes
    fresh_for: Duration = 600.0  # how long a sign-in counts as fresh for sensitive routes
    max_per_user: int | None = 5  # Guard Dog's default; None: no limit
    on_limit: Literal["oldest", "deny"] = "oldest"  # nobody is locked out by an old session
    anonymous_timeout: Duration = 14 * 86400.0  # as long as "remember me": what carts live for
    known_devices: bool = True  # a browser that signed a user in is no new device the next time


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is stricter or looser for one role; None leaves it as it is for everyone.

    `profile` fills in what the role leaves out; `from_dict` and `from_env` read it.
    """

    profile: tuple[str, ...] | None = None
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


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the store that `store` names is used; only Redis looks at these."""

    wait_replicas: int = 0  # none: a replica that hangs must not slow sign-ins down
    write_version: int = VERSION  # an older one while the release before still runs
    multiplex: bool = True  # False: all through redis-py's own client, several times as slow


class OutageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens while the store does not answer."""

    # Reading the session answers 503; the others are looser.
    policy: Literal["deny", "anonymous", "stale_ok"] = "deny"
    stale_for: Duration = 60.0  # with stale_ok: how old what a process shows may be
    retry_after: Duration = 5.0  # what the 503 tells the client to wait


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of people, and for how long."""

    event_retention: Duration = 90 * 86400.0
    address_precision: Literal["full", "network", "none"] = "full"


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Pages that the app or gatehound serves."""

    step_up_url: str | None = None  # where a person proves who they are again; None: no such page
    # What such a person may reach all the same: whole paths, so that no route ends in one of them.
    step_up_open: tuple[str, ...] = (
        "/static/*",
        "/favicon.ico",
        "/login",
        "/sign-in",
        "/logout",
        "/sign-out",
    )
    # Everywhere: the session is in doubt, and who reads has done the harm already.
    step_up_enforce: Literal["everywhere", "sensitive"] = "everywhere"
    path: str | None = None  # below which the middleware serves its pages; None: the app mounts
    sign_in_url: str | None = None  # where the pages send who is signed out
    password_url: str | None = None  # where people change their password
    home_url: str | None = None  # the way from the pages back to the site
    require_fresh: bool = True  # OWASP ASVS 7.5.2: to see and end sessions, prove who you are
    language: str = "auto"  # what the browser asks for
    templates: str | None = None  # a folder whose templates go before ours
    # Who sees how an address was found: it names the proxies of the site.
    trace_roles: tuple[str, ...] = ("admin", "administrator")
    admin_path: str | None = None  # below which the middleware serves the pages of admins
    admin_roles: tuple[str, ...] = ("admin", "administrator")  # who may see and end everybody's


class CSRFSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the middleware refuses what another site made a browser send."""

    protect: bool = False  # programs that use cookies would have to change: the app decides
    exempt: tuple[str, ...] = ()  # hooks that other sites' pages call
    trusted_origins: tuple[str, ...] = ()  # nobody: a sub-domain is another site too


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of what happened, and how; see gatehound.notify."""

    smtp: str | None = None  # smtp:// or smtps://, with a password: never shown
    mail_from: str | None = None  # the address that mail comes from
    admins: tuple[str, ...] = ()  # addresses; all of them get what is for admins
    users: bool = False  # Guard Dog's default: mail that nobody announced looks like fraud
    webhook: str | None = None
    webhook_secrets: tuple[str, ...] = ()  # newest first, whsec_ and base64; each signs
    log: bool = False  # one line to the logger gatehound.notify
    site_url: str | None = None  # what links in mails begin with: no request is there to tell
    site_name: str | None = None  # None: the host of site_url
    per_hour: int = 3  # mails to one person; one theft makes one to three
    per_two_days: int = 10
    language: str = "en"  # no browser asks for one
    templates: str | None = None  # a folder whose templates go before ours
    thread: bool = True  # False: only `gatehound notify` sends

    @property
    def is_on(self) -> bool:
        """True where a channel is named."""
        return bool(self.smtp or self.webhook or self.log)

    def __repr__(self) -> str:
        """Show no secret."""
        return f"NotifySettings(users={self.users}, {len(self.admins)} admins)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show none to rich either, whose tracebacks show local variables."""
        return [("users", self.users)]


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where figures go; see gatehound.telemetry. Off, it is not even loaded."""

    opentelemetry: bool = False  # spans and metrics, by the global providers
    prometheus: bool = False  # metrics, in the default registry of prometheus-client
    log: Literal["lines", "json"] = "lines"  # what a guard without `sinks` writes of events

    @property
    def measures(self) -> bool:
        """True where a guard is measured, whatever it is given."""
        return self.opentelemetry or self.prometheus


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one session: durations in seconds, and how many a user may have."""

    idle: float
    absolute: float
    max_per_user: int | None
    on_limit: Literal["oldest", "deny"]
    fresh_for: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole tree; build it with `from_dict` or `from_env`."""

    # Named bundles that lie under what is given, the later over the earlier: gatehound.profiles.
    profile: tuple[str, ...] = ()
    secret_keys: tuple[str, ...] = ()  # newest first; older ones still open cookies
    identity_key: str = ""  # never rotated: it names users in the store
    namespace: Annotated[str, msgspec.Meta(pattern=NAMESPACE_PATTERN)] = "default"
    store: str = ""  # "": a SQLite file in the user's state folder
    store_options: StoreSettings = msgspec.field(default_factory=StoreSettings)
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
    csrf: CSRFSettings = msgspec.field(default_factory=CSRFSettings)
    telemetry: TelemetrySettings = msgspec.field(default_factory=TelemetrySettings)
    notify: NotifySettings = msgspec.field(default_factory=NotifySettings)

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
        tree, explain = _with_profiles(data)
        settings = read_struct(cls, tree, problems, text=text, prefix=prefix, separator=separator)
        if settings.development:
            settings = _for_development(settings, data)
        # A value that could not be read stands at its default here, so that the rules
        # between settings are still checked and all problems come in one message.
        told = [in_words_of(explain(line), cls, text, prefix) for line in settings.problems()]
        problems += [line for line in told if not is_said(line, problems)]
        if problems:
            raise SettingsError(problems)
        return settings

    def problems(self) -> list[str]:
        """Say what is wrong between the settings, a line each; empty: nothing."""
        return [
            *problems_between(self),
            *self.cookie_shape().problems(),
            *self.detection.problems(),
            *self.policy.problems(),
        ]

    def resolver(self) -> ClientIPResolver:
        """Build the address resolver; SettingsError says what is wrong with its settings."""
        return ClientIPResolver(**msgspec.structs.asdict(self.client_ip))

    def networks(self) -> Networks:
        """Open the databases and lists; SettingsError says which cannot be used, and why."""
        detection = self.detection
        return Networks(
            city=detection.city_database,
            asn=detection.asn_database,
            anonymous=detection.anonymous_database,
            connection=detection.connection_database,
            lists=detection.network_lists,
            v4_prefix=detection.v4_prefix,
            v6_prefix=detection.v6_prefix,
            reload_every=detection.reload_every,
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

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show none to rich either, whose tracebacks show local variables."""
        return [("namespace", self.namespace)]


def _with_profiles(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], Callable[[str], str]]:
    """Fill in what profiles say, and return what tells of it in a problem; most name none."""
    roles = data.get("roles")
    groups = (data, *(roles.values() if isinstance(roles, Mapping) else ()))
    if not any(isinstance(group, Mapping) and "profile" in group for group in groups):
        return data, str
    from gatehound import profiles

    return profiles.filled(data), lambda line: profiles.told(line, data)


def _for_development(settings: Settings, data: Mapping[str, Any]) -> Settings:
    """Fill in keys, and a cookie that browsers keep over plain HTTP on loopback."""
    changes: dict[str, Any] = {}
    if not settings.secret_keys or not settings.identity_key:
        secret, identity = development_keys(settings.namespace)
        path = development_keys_path(settings.namespace)
        log.warning("development mode: keys of its own are used, and kept in %s", path)
        changes["secret_keys"] = settings.secret_keys or (secret,)
        changes["identity_key"] = settings.identity_key or identity
    if "cookie" not in data:
        changes["cookie"] = CookieSettings(name="gatehound", secure=False)
    return msgspec.structs.replace(settings, **changes)
