"""Turn what a page knows into HTML: templates, languages, and words for times and methods.

Belongs here: what is said and how. Does not: what a request may do (pages.py).

Agents, cities, user names and reasons come from outside: every value is escaped, and nothing is
marked as safe but what a template of ours has made. Jinja2 is an extra, and imported when the first
page is made.
"""

from __future__ import annotations

import gettext
import time
from collections.abc import Iterable
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gatehound._rules import LANGUAGES
from gatehound.errors import SettingsError
from gatehound.settings import WebSettings

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_MISSING: Final = "pages need jinja2, which is not installed; run: pip install 'gatehound[web]'"


class Words:
    """The words of one language: what templates call `gettext`, `ngettext`, `ago` and so on.

    Texts in the folder `locale` of `folder` go before ours.
    """

    def __init__(self, language: str, folder: str | None = None) -> None:
        self.language = language
        ours = str(files("gatehound.web") / "locale")
        found = gettext.translation("gatehound", ours, [language], fallback=True)
        if folder:
            own = gettext.translation("gatehound", f"{folder}/locale", [language], fallback=True)
            own.add_fallback(found)
            found = own
        self.gettext = found.gettext
        self.ngettext = found.ngettext

    def ago(self, at: float, now: float) -> str:
        """Say how long ago a moment was, in the largest unit that fits."""
        seconds = max(0.0, now - at)
        if seconds < 60:
            return self.gettext("just now")
        minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
        if minutes < 60:
            return self.ngettext("%(n)d minute ago", "%(n)d minutes ago", minutes) % {"n": minutes}
        if hours < 48:
            return self.ngettext("%(n)d hour ago", "%(n)d hours ago", hours) % {"n": hours}
        return self.ngettext("%(n)d day ago", "%(n)d days ago", days) % {"n": days}

    def methods(self, names: Iterable[str]) -> str:
        """Say in words how somebody signed in."""
        texts = self._method_texts()
        return ", ".join(texts.get(name, name) for name in names)

    def _method_texts(self) -> dict[str, str]:
        _ = self.gettext
        return {
            "password": _("password"),
            "totp": _("code from an app"),
            "sms": _("code by text message"),
            "email": _("code by mail"),
            "passkey": _("passkey"),
            "security_key": _("security key"),
            "push": _("prompt on a phone"),
            "recovery_code": _("recovery code"),
            "magic_link": _("link by mail"),
            "federated": _("another provider"),
            "certificate": _("certificate"),
            "other": _("another method"),
        }


@lru_cache(maxsize=64)
def words_of(language: str, folder: str | None = None) -> Words:
    """Return the words of one of `languages(folder)`."""
    return Words(language, folder)


@lru_cache(maxsize=8)
def languages(folder: str | None) -> tuple[str, ...]:
    """Return ours, and those that the folder `locale` of `folder` has."""
    found = Path(folder).glob("locale/*/LC_MESSAGES/gatehound.mo") if folder else ()
    own = sorted({path.parts[-3] for path in found} - set(LANGUAGES))
    return (*LANGUAGES, *own)


def language_for(setting: str, accepted: str, folder: str | None = None) -> str:
    """Return the language of a page: that of the settings, or what the browser asks for.

    `accepted` is the Accept-Language header (RFC 9110, 12.5.4); English where nothing fits.
    """
    if setting != "auto":
        return setting
    there = {_tag(name): name for name in languages(folder)}
    best, weight = LANGUAGES[0], 0.0
    for entry in accepted.split(",")[:20]:
        tag, _, quality = entry.partition(";")
        try:
            given = float(quality.partition("=")[2]) if quality else 1.0
        except ValueError:
            continue
        full = _tag(tag.strip())
        name = there.get(full) or there.get(full.partition("-")[0])
        if name and weight < given <= 1.0:
            best, weight = name, given
    return best


def _tag(language: str) -> str:
    """Write "pt_BR" as browsers write it, in lower case."""
    return language.replace("_", "-").lower()


def stamp(at: float) -> str:
    """Return a moment as people and browsers read it: UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def exact_stamp(at: float) -> str:
    """Return a moment of the log: UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def machine_stamp(at: float) -> str:
    """Return a moment for the `datetime` attribute."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def combine(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of both, those of `other` first."""
    return {**one, **other}


@lru_cache(maxsize=8)
def environment(folder: str | None, package: str = "gatehound.web") -> Environment:
    """Return the templates of a package, those of `folder` first.

    SettingsError where jinja2 is not there.
    """
    try:
        from jinja2 import (
            ChoiceLoader,
            Environment,
            FileSystemLoader,
            PackageLoader,
            select_autoescape,
        )
    except ImportError:
        raise SettingsError([_MISSING]) from None
    loaders = [FileSystemLoader(folder)] if folder else []
    made = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader(package)]),
        # All but plain text, where "&amp;" would be read as it stands.
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.filters.update(
        stamp=stamp, exact_stamp=exact_stamp, machine_stamp=machine_stamp, combine=combine
    )
    return made


class Rendered(NamedTuple):
    """A filled template, and the language that it is in."""

    text: str
    language: str


def rendered(
    settings: WebSettings, accepted: str, name: str, now: float, values: dict[str, Any]
) -> Rendered:
    """Fill in one template; `now` is in seconds since 1970, of the clock of the store.

    `accepted` is as for `language_for`.
    """
    folder = settings.templates
    language = language_for(settings.language, accepted, folder)
    words = words_of(language, folder)
    template: Template = environment(folder).get_template(name)
    text = template.render(
        values,
        gettext=words.gettext,
        ngettext=words.ngettext,
        _=words.gettext,
        ago=partial(words.ago, now=now),
        methods=words.methods,
        language=_tag(language),
    )
    return Rendered(text, _tag(language))
