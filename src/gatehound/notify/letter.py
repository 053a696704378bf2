"""Letters in words: what happened, why it is told, and what to do, as plain text and as HTML.

Every value is one printable line (fact.plain) and escaped in the HTML. A subject is made of words
of ours and the name of the site: nothing that a stranger chose is in it. Texts are in the catalogue
of the pages. Jinja2 is an extra, and imported when the first letter is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from gatehound.errors import SettingsError
from gatehound.model import EndReason
from gatehound.notify.channel import Letter
from gatehound.notify.fact import SIGN_INS, Fact, plain
from gatehound.notify.ledger import Whom
from gatehound.settings import NotifySettings, Settings
from gatehound.web.render import Words, environment, stamp, words_of

SHOWN: Final = 4  # events that a letter tells in full
# Which event of several a letter is headed by: what was done, then what was seen.
_FIRST: Final = (
    "session_terminated",
    "sessions_moved",
    "login_spray",
    "login_guessing",
    "proxy_misconfigured",
    "session_flagged",
    "login_new_device",
)
_MISSING: Final = (
    "letters need jinja2, which is not installed; run: pip install 'gatehound[notify]'"
)


class Said(msgspec.Struct, frozen=True):
    """What is said of one event: the subject, the sentence, and what to do about it."""

    subject: str
    lead: str
    advice: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One event as templates show it: `rows` are pairs of a label and a value.

    `link` is where the user says "this was not me", `page` where admins see that user.
    """

    lead: str
    advice: str
    rows: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    link: str | None
    page: str | None


def check_installed() -> None:
    """Raise SettingsError where letters cannot be written."""
    if find_spec("jinja2") is None:
        raise SettingsError([_MISSING])


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
    site = notify.site_name or urlsplit(notify.site_url or "").hostname or ""
    words = words_of(notify.language, notify.templates)
    said = [(fact, wording(words, fact, whom)) for fact in sorted(facts, key=_rank)]
    values = {
        "subject": said[0][1].subject,
        "site": site,
        "site_url": notify.site_url,
        "whom": whom,
        "entries": [entry(settings, words, fact, one, whom) for fact, one in said[:SHOWN]],
        "more": more + max(0, len(said) - SHOWN),
        "password_url": _password_url(settings, whom),
        "language": notify.language.replace("_", "-").lower(),
    }
    return Letter(
        key=key,
        whom=whom,
        user_id=facts[0].event.user_id if whom == "user" else None,
        to=to,
        subject=f"{values['subject']}{site and f' - {site}'}",
        text=_filled(notify, words, "letter.txt", values),
        html=_filled(notify, words, "letter.html", values),
        language=str(values["language"]),
        events=tuple(fact.event for fact in facts),
        at=at,
    )


def _filled(notify: NotifySettings, words: Words, name: str, values: Mapping[str, object]) -> str:
    template = environment(notify.templates, "gatehound.notify").get_template(name)
    return template.render(values, gettext=words.gettext, ngettext=words.ngettext, _=words.gettext)


def wording(words: Words, fact: Fact, whom: Whom) -> Said:
    """Say in words what an event means to its reader."""
    if whom == "admins":
        return _for_admins(words, fact)
    _, name = words.gettext, fact.event.name
    if name == "session_flagged":
        return Said(
            _("Unusual activity in your account"),
            _("Your account was used in a way that is unusual for you."),
            _advice(words, fact),
        )
    if name == "login_new_device":
        return Said(
            _("New sign-in to your account"),
            _("Somebody signed in to your account on a device that it has not used before."),
            _advice(words, fact),
        )
    if name == "session_terminated":
        return Said(
            _("We signed a device out of your account"),
            _end_text_for_user(words, fact),
            _("Change your password: whoever was there may know it."),
        )
    return Said(
        _("A security notice for your account"),
        _("Something happened in your account that you should know of."),
    )


def _advice(words: Words, fact: Fact) -> str:
    """Say what to do if it was the reader, and if it was not; a link says the second by itself."""
    _ = words.gettext
    nothing = _("If it was you, there is nothing to do.")
    if fact.link is not None:
        return nothing
    if fact.is_over:
        other = _("If it was not, change your password; that session is over already.")
    else:
        other = _("If it was not, change your password, and sign out on all devices.")
    return f"{nothing} {other}"


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


def _end_text_for_user(words: Words, fact: Fact) -> str:
    if fact.event.reason == EndReason.REPORTED:
        return words.gettext("A session was ended, because you said that it was not yours.")
    return _end_text(words, fact)


def entry(settings: Settings, words: Words, fact: Fact, said: Said, whom: Whom) -> Entry:
    """Lay one event out for the templates."""
    _ = words.gettext
    rows = _rows(words, fact)
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
        _user_page(settings, fact) if whom == "admins" else None,
    )


def _rows(words: Words, fact: Fact) -> list[tuple[str, str]]:
    """Say what is of whoever did it, and what of the sign-in: they may be two people."""
    _ = words.gettext
    where = f"{fact.address} ({fact.place})" if fact.address and fact.place else ""
    began_at = None if fact.event.name in SIGN_INS else fact.began_at
    return [
        (
            _("Used from") if fact.event.public_id else _("Came from"),
            where or fact.address or fact.place,
        ),
        (_("Browser there"), fact.browser),
        (_("Time"), stamp(fact.event.at)),
        (_("The session began on"), "" if fact.event.name in SIGN_INS else fact.began_on),
        (_("The session began in"), fact.began_in),
        (_("The session began at"), "" if began_at is None else stamp(began_at)),
    ]


def _user_page(settings: Settings, fact: Fact) -> str | None:
    site, path, user_id = settings.notify.site_url, settings.web.admin_path, fact.event.user_id
    if site is None or path is None or user_id is None:
        return None
    return f"{site}{path}/user?id={quote(user_id, safe='', errors='replace')}"


def _id(fact: Fact) -> str:
    return plain(fact.event.user_id or "")


def _password_url(settings: Settings, whom: Whom) -> str | None:
    site, path = settings.notify.site_url, settings.web.password_url
    return f"{site}{path}" if whom == "user" and site and path else None


def _rank(fact: Fact) -> tuple[int, float]:
    name = fact.event.name
    place = _FIRST.index(name) if name in _FIRST else len(_FIRST)
    return place, -fact.event.at
