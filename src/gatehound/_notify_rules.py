"""The rules for the settings `notify`, and how the URLs there are read.

Belongs here: what is wrong with a URL, an address or a secret, without touching the network.
Loaded where something is set alone. No message shows a URL: it may hold a password.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from gatehound.errors import SettingsError
from gatehound.model import is_loopback

if TYPE_CHECKING:  # Settings itself asks here, so this is for annotations alone
    from gatehound.settings import NotifySettings

# One address of ASCII, without quotes or comments: what no server and no reader takes for two.
ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?=.{1,253}\Z)"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with, not one
# Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES: Final = (24, 64)
_PORTS: Final = {"smtp": 587, "smtps": 465}  # RFC 6409 and RFC 8314: of submission


class Server(msgspec.Struct, frozen=True):
    """Where mail is handed in, and how. `tls` says whether it is sent in the open.

    `always` needs STARTTLS, `able` uses it where it is offered, `never` is in the open, and
    `from_the_start` is smtps.
    """

    host: str
    port: int
    tls: Literal["always", "able", "never", "from_the_start"]
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Show no password."""
        return f"Server({self.host!r}, {self.port}, {self.tls!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show none to rich either, whose tracebacks show local variables."""
        return [("host", self.host), ("port", self.port), ("tls", self.tls)]


def is_address(text: str) -> bool:
    """True for one plain mail address."""
    return ADDRESS.fullmatch(text) is not None


def server_of(url: str) -> Server:
    """Read the setting `notify.smtp`; SettingsError says what is wrong, without the URL."""
    parts = _split(url, "an address such as smtp://user:password@mail.example:587")
    if parts.scheme not in _PORTS:
        raise SettingsError(f"the scheme {parts.scheme!r} given; allowed are smtp and smtps")
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise SettingsError("no host alone given; allowed is smtp://user:password@host:port")
    asked = parse_qs(parts.query, keep_blank_values=True)
    if asked not in ({}, {"tls": ["never"]}) or (asked and parts.scheme == "smtps"):
        raise SettingsError("options given; allowed behind smtp:// is ?tls=never, or nothing")
    tls: Literal["always", "able", "never", "from_the_start"]
    if parts.scheme == "smtps":
        tls = "from_the_start"
    elif asked:
        tls = "never"
    else:
        tls = "able" if is_loopback(parts.hostname) else "always"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise SettingsError("a user or a password alone given; give both or neither")
    return Server(parts.hostname, parts.port or _PORTS[parts.scheme], tls, user, password)


def webhook_of(url: str) -> SplitResult:
    """Read the setting `notify.webhook`; SettingsError says what is wrong, without the URL."""
    parts = _split(url, "an address such as https://hooks.example/gatehound")
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise SettingsError("no web address given; allowed is one that begins with https://")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(
            "plain http to another machine given, where anybody on the way reads it; allowed is "
            "https://, and http:// to this machine alone"
        )
    if parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise SettingsError("a user, a fragment or characters that no URL has given; leave it out")
    return parts


def secret_of(text: str) -> bytes:
    """Read one of `notify.webhook_secrets`; SettingsError says what is wrong, not the secret."""
    how = (
        "allowed is whsec_ and the base64 of 24 to 64 random bytes; make one with "
        '`python -c \'import base64, os; print("whsec_" + '
        "base64.b64encode(os.urandom(32)).decode())'`"
    )
    if not text.startswith(SECRET_PREFIX):
        raise SettingsError(f"no secret of a webhook; {how}")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"no base64 behind whsec_; {how}") from None
    if not SECRET_BYTES[0] <= len(secret) <= SECRET_BYTES[1]:
        raise SettingsError(f"{len(secret)} bytes given; {how}")
    return secret


def problems(notify: NotifySettings) -> Iterator[str]:
    """Yield what is wrong with the group `notify` by itself, a line each."""
    yield from _mail_problems(notify)
    yield from _webhook_problems(notify)
    if notify.site_url is not None and not _is_site(notify.site_url):
        yield (
            f"notify.site_url: {notify.site_url!r} given; allowed is where the site begins, such "
            "as https://shop.example, without a slash at its end"
        )
    name = notify.site_name
    if name is not None and not (name.isprintable() and 0 < len(name) <= 60):
        yield f"notify.site_name: {name!r} given; allowed are 1 to 60 printable characters"
    if not 1 <= notify.per_hour <= notify.per_two_days <= 10:
        yield (
            f"notify.per_hour: {notify.per_hour} an hour and {notify.per_two_days} in two days "
            "given; allowed are 1 to notify.per_two_days, which is at most 10: who gets more mail "
            "about security stops reading it"
        )


def _mail_problems(notify: NotifySettings) -> Iterator[str]:
    for position, address in enumerate(notify.admins):
        if not is_address(address):
            yield (
                f"notify.admins[{position}]: {address!r} given; allowed is one address such as "
                "security@shop.example"
            )
    if notify.mail_from is not None and not is_address(notify.mail_from):
        yield (
            f"notify.mail_from: {notify.mail_from!r} given; allowed is one address such as "
            "no-reply@shop.example; the name beside it is notify.site_name"
        )
    if notify.smtp is None:
        return
    try:
        server_of(notify.smtp)
    except SettingsError as error:
        yield from (f"notify.smtp: {line}" for line in error.problems)
    if notify.mail_from is None:
        yield "notify.mail_from: none given; notify.smtp needs the address that mail comes from"
    if not notify.admins and not notify.users:
        yield (
            "notify.admins: none given, and notify.users is false, so that notify.smtp has nobody "
            "to write to; list addresses of admins, or set notify.users to true"
        )


def _webhook_problems(notify: NotifySettings) -> Iterator[str]:
    if notify.webhook is not None:
        try:
            webhook_of(notify.webhook)
        except SettingsError as error:
            yield from (f"notify.webhook: {line}" for line in error.problems)
        if not notify.webhook_secrets:
            yield (
                "notify.webhook_secrets: none given; notify.webhook needs one, or its receiver "
                "could not tell a notice from a forged one"
            )
    for position, secret in enumerate(notify.webhook_secrets):
        try:
            secret_of(secret)
        except SettingsError as error:
            yield from (f"notify.webhook_secrets[{position}]: {line}" for line in error.problems)


def _split(url: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # ValueError where it is no number
    except ValueError:
        raise SettingsError(f"what cannot be read given; allowed is {example}") from None
    return parts


def _is_site(url: str) -> bool:
    return re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*", url) is not None
