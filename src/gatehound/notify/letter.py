"""Letters in words: what happened, why it is told, and what to do, as plain text and as HTML.

Every value is one printable line (fact.plain) and escaped in the HTML. A subject is made of words
of ours and the name of the site: nothing that a stranger chose is in it. Texts are in the catalogue
of the pages. Jinja2 is an extra, and imported when the first letter is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from gatehound.errors import SettingsError
from gatehound.model import EndReason
from gatehound.notify.channel import Letter
from gatehound.notify.fact import Fact, plain
from gatehound.notify.ledger import Whom
from gatehound.settings import Settings
from gatehound.web.render import Words, stamp, words_of

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN: Final = 4  # events that a letter tells in full
# Which event of several a letter is headed by: what was done, then what was seen.
_FIRST: Final = ("session_terminated", "session_flagged", "login_new_device")
_MISSING: Final = (
    "letters need jinja2, which is not installed; run: pip install 'gatehound[notify]'"
)


class Said(msgspec.Struct, frozen=True):
    """What is said of one event: the subject, the sentence, and what to do about it."""

    subject: str
    lead: str
    advice: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One event as templates show it: `rows` are pairs of a label and a value."""

    lead: str
    advice: str
    rows: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    link: str | None


def check_installed() -> None:
    """Raise SettingsError where letters cannot be written."""
    if find_spec("jinja2") is None:
        raise SettingsError([_MISSING])


@lru_cache(maxsize=8)
def environment(folder: str | None) -> Environment:
    """Return the templates, those of `folder` first."""
    from jinja2 import (
        ChoiceLoader,
        Environment,
        FileSystemLoader,
        PackageLoader,
        select_autoescape,
    )

    loaders = [FileSystemLoader(folder)] if folder else []
    return Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("gatehound.notify")]),
        autoescape=select_autoescape(["html"], default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )


def letter_of(
    settings: Settings,
    facts: Sequence[Fact],
    *,
    key: str,
    whom: Whom,
    to: tuple[str, ...],
    more: int,
    at: float,
) -> Letter:
    """Write one letter about events of one recipient, which are one or more, the oldest first."""
    notify = settings.notify
    words = words_of(notify.language, notify.templates)
    ordered = sorted(facts, key=_rank)
    said = [(fact, wording(words, fact, whom)) for fact in ordered]
    site = notify.site_name or urlsplit(notify.site_url or "").hostname or settings.namespace
    subject = f"{said[0][1].subject} - {site}"
    values = {
        "subject": said[0][1].subject,
        "site": site,
        "site_url": notify.site_url,
        "whom": whom,
        "entries": [entry(words, fact, one, whom) for fact, one in said[:SHOWN]],
        "more": more + max(0, len(said) - SHOWN),
        "password_url": _password_url(settings, whom),
        "language": notify.language.replace("_", "-").lower(),
    }
    used = environment(notify.templates)
    text, html = (
        used.get_template(name).render(
            values, gettext=words.gettext, ngettext=words.ngettext, _=words.gettext
        )
        for name in ("letter.txt", "letter.html")
    )
    return Letter(
        key=key,
        whom=whom,
        user_id=facts[0].event.user_id if whom == "user" else None,
        to=to,
        subject=subject,
        text=text,
        html=html,
        language=str(values["language"]),
        events=tuple(fact.event for fact in facts),
        at=at,
    )


def wording(words: Words, fact: Fact, whom: Whom) -> Said:
    """Say in words what an event means to its reader."""
    if whom == "admins":
        return _for_admins(words, fact)
    _, name = words.gettext, fact.event.name
    if name == "session_flagged":
        return Said(
            _("Unusual activity in your account"),
            _("Your account was used in a way that is unusual for you."),
            _("If it was you, there is nothing to do."),
        )
    if name == "login_new_device":
        return Said(
            _("New sign-in to your account"),
            _("Somebody signed in to your account on a device that it has not used before."),
            _("If it was you, there is nothing to do."),
        )
    if name == "session_terminated":
        return Said(
            _("We signed a device out of your account"),
            _end_text(words, fact),
            _("Change your password: whoever was there may know it."),
        )
    return Said(
        _("A security notice for your account"),
        _("Something happened in your account that you should know of."),
    )


def _for_admins(words: Words, fact: Fact) -> Said:
    _, name = words.gettext, fact.event.name
    if name == "session_flagged":
        return Said(
            _("A session became suspicious"),
            _("A session was used in a way that is unusual for its user."),
        )
    if name == "session_terminated":
        return Said(_("A suspicious session was ended"), _end_text(words, fact))
    if name == "proxy_misconfigured":
        return Said(
            _("A proxy is not declared"),
            _("Many users share an address, so that nobody can be told apart by it."),
        )
    if name == "sessions_moved":
        return Said(
            _("Many sessions moved at once"),
            _("Many sessions moved to one new network: somebody may have the cookies of many."),
        )
    if name == "login_spray":
        return Said(
            _("Somebody tries passwords of many users"),
            _("Logins of many users failed from one network."),
        )
    if name == "login_guessing":
        return Said(
            _("Somebody guesses the password of a user"), _("Many logins of one user failed.")
        )
    return Said(_("A security notice"), _("Something happened that you should know of."))


def _end_text(words: Words, fact: Fact) -> str:
    _, reason = words.gettext, fact.event.reason
    if reason == EndReason.REPORTED:
        return _("A session was ended, because its user said that it was not theirs.")
    if reason == EndReason.SUSPICIOUS:
        return _("A session was ended, because it looked as if somebody else was using it.")
    return _("A session was ended.")


def entry(words: Words, fact: Fact, said: Said, whom: Whom) -> Entry:
    """Lay one event out for the templates."""
    _ = words.gettext
    rows = [
        (_("Device"), fact.device),
        (_("Place"), fact.place),
        (_("Address"), fact.address),
        (_("Time"), stamp(fact.event.at)),
    ]
    if whom == "admins" and fact.event.user_id is not None:
        name = f"{fact.user_name} ({_id(fact)})" if fact.user_name else _id(fact)
        rows.insert(0, (_("User"), name))
    return Entry(
        said.lead,
        said.advice,
        tuple((label, value) for label, value in rows if value),
        fact.reasons,
        # Whoever has the link can end the session: it is for its user alone.
        fact.link if whom == "user" else None,
    )


def _id(fact: Fact) -> str:
    return plain(fact.event.user_id or "")


def _password_url(settings: Settings, whom: Whom) -> str | None:
    site, path = settings.notify.site_url, settings.web.password_url
    return f"{site}{path}" if whom == "user" and site and path else None


def _rank(fact: Fact) -> tuple[int, float]:
    name = fact.event.name
    place = _FIRST.index(name) if name in _FIRST else len(_FIRST)
    return place, -fact.event.at
