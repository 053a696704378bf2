"""The pages in German: every text, every placeholder, and who gets which language.

Not checked here: that the German is good.
"""

from __future__ import annotations

import gettext
import re
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from admin_kit import PAGES, admin_of, forms_of, rob, see, sign_in, token_of
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from web_kit import FIREFOX, ORIGIN, Place

import make_words
from gatehound import SettingsError
from gatehound._rules import LANGUAGES
from gatehound._sync import run_sync
from gatehound.model import METHODS, EndReason
from gatehound.testing import FakeClock
from gatehound.web.render import language_for, words_of

OTHERS = LANGUAGES[1:]
MakePlace = Callable[..., Place]
PLACEHOLDER = re.compile(r"%\(\w+\)\w|%%|[{}<>&]")
REFRESH = "run: python tests/make_words.py"
DAY = 86_400


def messages(language: str) -> list[Message]:
    data = make_words.file_of(language, "po").read_bytes()
    return [one for one in read_po(BytesIO(data), locale=language) if one.id]


def ids(message: Message) -> tuple[str, ...]:
    return (message.id,) if isinstance(message.id, str) else tuple(map(str, message.id))


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str) -> None:
    book = make_words.translated(language)
    assert len(messages(language)) > 80
    assert [ids(one) for one in make_words.missing(book)] == []
    assert make_words.po_of(book) == make_words.file_of(language, "po").read_bytes(), REFRESH
    assert not any(one.fuzzy for one in messages(language))


@pytest.mark.parametrize("language", OTHERS)
def test_compiled_file_is_that_of_the_text_file(language: str) -> None:
    book = make_words.translated(language)
    assert make_words.mo_of(book) == make_words.file_of(language, "mo").read_bytes(), REFRESH
    with make_words.file_of(language, "mo").open("rb") as file:
        found = gettext.GNUTranslations(file)
    for message in messages(language):
        one, *plural = ids(message)
        for number in (0, 1, 2) if plural else ():
            text = make_words.forms(message)[number != 1]
            assert found.ngettext(one, plural[0], number) == text
        if not plural:
            assert found.gettext(one) == message.string


@pytest.mark.parametrize("language", OTHERS)
def test_placeholders_are_those_of_the_text(language: str) -> None:
    for message in messages(language):
        wanted = [Counter(PLACEHOLDER.findall(text)) for text in ids(message)]
        given = [Counter(PLACEHOLDER.findall(text)) for text in make_words.forms(message)]
        assert given == wanted, message.id
        for text, known in zip(make_words.forms(message), ids(message), strict=True):
            assert text == text.strip()
            assert (text[-1] in ".?:") == (known[-1] in ".?:"), message.id


def test_texts_that_a_template_looks_up_by_a_name_are_known() -> None:
    found = {
        given
        for path in make_words.SOURCE.glob("web/templates/**/*.html")
        for given in re.findall(r"\bn?gettext\(\s*([^\"'\s)]+)", path.read_text(encoding="utf-8"))
    }
    assert found == {"ended.text"}  # which make_words adds


def test_german_reasons_and_methods() -> None:
    words = words_of("de")
    assert [one for one in EndReason if words.gettext(one.text) == one.text] == []
    english, german = words_of("en"), words.methods(METHODS).split(", ")
    assert len(german) == len(METHODS)
    assert [name for name, text in zip(METHODS, german, strict=True) if name == text] == []
    assert english.methods(["totp", "made_up"]) == "code from an app, made_up"


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (-5, "just now", "gerade eben"),
        (59, "just now", "gerade eben"),
        (60, "1 minute ago", "vor 1 Minute"),
        (125, "2 minutes ago", "vor 2 Minuten"),
        (3600, "1 hour ago", "vor 1 Stunde"),
        (2 * DAY - 1, "47 hours ago", "vor 47 Stunden"),
        (2 * DAY, "2 days ago", "vor 2 Tagen"),
        (400 * DAY, "400 days ago", "vor 400 Tagen"),
    ],
)
def test_how_long_ago(seconds: int, english: str, german: str) -> None:
    now = 1_800_000_000.0
    assert words_of("en").ago(now - seconds, now) == english
    assert words_of("de").ago(now - seconds, now) == german


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("de-CH-1996, en;q=0.5", "de"),
        ("en, de", "en"),  # of equals the first
        ("de, en", "de"),
        ("en;q=0.3, de;q=0.8", "de"),
        ("de;q=0.3, en;q=0.8", "en"),
        ("fr, de;q=0.1", "de"),
        ("fr, it;q=0.9", "en"),
        ("*", "en"),
        ("de;q=0", "en"),
        ("de;q=0.000", "en"),
        ("de ; q=0.5", "de"),
        ("de;q=", "en"),
        ("de;q=x", "en"),
        ("de;q=nan", "en"),
        ("de;q=inf", "en"),
        ("de;q=-1", "en"),
        ("de;q=2", "en"),
        ("deu", "en"),
        ("de_DE", "de"),
        (";q=1,,;;=,de", "de"),
        ("\x00\xff", "en"),
        ("xx," * 50_000 + "de", "en"),  # nobody has so many languages
    ],
)
def test_accepted_languages(accepted: str, language: str) -> None:
    assert language_for("auto", accepted) == language


@pytest.mark.parametrize("accepted", ["", "de", "en", "~;q=x"])
@pytest.mark.parametrize("setting", LANGUAGES)
def test_language_of_the_settings_goes_first(
    setting: str, accepted: str, make_place: Callable[..., Place]
) -> None:
    assert language_for(setting, accepted) == setting
    place = make_place(web={"language": setting})
    page = place.person().get("/sessions/", headers={"accept-language": accepted})
    assert page.headers["content-language"] == setting
    assert f'<html lang="{setting}">' in page.text


def test_german_pages(place: Place, clock: FakeClock) -> None:
    german = {"accept-language": "de-DE,de;q=0.9,en;q=0.8"}
    library, home = place.person(FIREFOX, "198.51.100.4").login(), place.person()
    clock.advance(605)
    home.login()
    page = home.get("/sessions/", headers=german)
    assert page.headers["content-language"] == "de"
    assert "accept-language" in page.headers["vary"].lower()
    for text in (
        '<html lang="de">',
        "<title>Meine Sitzungen</title>",
        "Wo Sie angemeldet sind",
        "Dieses Gerät",
        "vor 10 Minuten",
        ", mit Passwort",
        "Alle anderen Geräte abmelden",
    ):
        assert text in page.text
    assert left_in_english(page.text) == set()
    assert home.submit("end-others").status_code == 303
    told = library.get("/sessions/", headers=german)
    assert told.status_code == 401
    assert "Sie haben diese Sitzung von einem anderen Gerät aus beendet." in told.text
    assert left_in_english(told.text) == set()
    for path in ("/sessions/address", "/sessions/ended", "/sessions/nowhere"):
        assert left_in_english(home.get(path, headers=german).text) == set()
    assert '<html lang="en">' in home.get("/sessions/", headers={"accept-language": "fr"}).text


def test_german_pages_of_admins(desk: Place, clock: FakeClock) -> None:
    german = {"accept-language": "de"}
    (ann,) = sign_in(desk, "ann")
    rob(ann, clock)
    admin = admin_of(desk)
    own = left_in_english("".join(run_sync(desk.guard.describe())))  # the policy is in English
    for page in (*PAGES, "address", "user?id=nobody", "user", "sessions?network=x", "nowhere"):
        answer = see(admin, page, headers=german)
        assert answer.headers["content-language"] == "de"
        assert left_in_english(answer.text) - own == set(), page
    answer = see(admin, "sessions", headers=german)
    for text in ("Sitzungen", "Verdächtig", "Markierung aufheben", "Nicht aktiv seit", "1 Stunde"):
        assert text in answer.text
    (form,) = forms_of(see(admin, "matching?user=ann"), "matching")
    sent = {"token": token_of(admin), **form}
    headers = {"origin": ORIGIN, "accept-language": "de"}
    done = admin.ask("POST", "/admin/matching", data=sent, headers=headers)
    assert "1 Sitzung beendet." in done.text
    other = desk.person().login("eve")
    assert "Diese Seiten sind für Verwalter" in see(other, headers=german).text


def left_in_english(page: str) -> set[str]:
    """The English texts of our own that a page shows, as far as they are of several words."""
    shown = re.sub(r"<[^>]+>", "\n", page)
    known = {text for message in messages("de") for text in ids(message)}
    return {text for text in known if " " in text and "%" not in text and text in shown}


def test_files_lie_where_the_pages_look() -> None:
    folder = Path(make_words.FOLDER)
    assert {path.name for path in folder.iterdir()} == set(OTHERS)


# --- words and languages of a site ---


def own_words(folder: Path, language: str, **texts: str) -> str:
    """Write a catalogue of a site, and return its folder for `web.templates`."""
    catalog = Catalog(locale=language)
    for english, own in texts.items():
        catalog.add(english.replace("_", " "), own)
    path = folder / "locale" / language / "LC_MESSAGES"
    path.mkdir(parents=True)
    with (path / "gatehound.mo").open("wb") as file:
        write_mo(file, catalog)
    return str(folder)


def test_site_says_it_in_words_of_its_own(make_place: MakePlace, tmp_path: Path) -> None:
    folder = own_words(tmp_path, "de", My_sessions="Meine Geräte")
    place = make_place(web={"templates": folder, "language": "de"})
    page = place.person().login().get("/sessions/").text
    assert "Meine Geräte" in page
    assert "Dieses Gerät" in page  # ours, where the site has no other word


def test_site_has_a_language_of_its_own(make_place: MakePlace, tmp_path: Path) -> None:
    folder = own_words(tmp_path, "fr", My_sessions="Mes sessions")
    place = make_place(web={"templates": folder})
    person = place.person().login()
    page = person.get("/sessions/", headers={"accept-language": "fr-CA,de;q=0.8"})
    assert page.headers["content-language"] == "fr"
    assert "Mes sessions" in page.text
    assert "This device" in page.text
    assert make_place(web={"templates": folder, "language": "fr"})


def test_region_has_a_language_of_its_own(make_place: MakePlace, tmp_path: Path) -> None:
    folder = own_words(tmp_path, "pt_BR", My_sessions="Minhas sessões")
    person = make_place(web={"templates": folder}).person().login()
    page = person.get("/sessions/", headers={"accept-language": "pt-br;q=0.9,fr"})
    assert page.headers["content-language"] == "pt-br"
    assert "Minhas sessões" in page.text
    fixed = make_place(web={"templates": folder, "language": "pt_BR"}).person()
    assert '<html lang="pt-br">' in fixed.get("/sessions/").text


@pytest.mark.parametrize("language", ["fr", "../de", "", "DE", "de/x", "_"])
def test_language_without_words_is_refused(
    make_place: MakePlace, tmp_path: Path, language: str
) -> None:
    with pytest.raises(SettingsError, match=r"web\.language"):
        make_place(web={"language": language, "templates": str(tmp_path)})
