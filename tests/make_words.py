"""Bring the translations of pages and letters up to date; run it again and the bytes are the same.

    python tests/make_words.py

It finds every text in the templates and the code, adds those that are new to each gatehound.po with
an empty translation, drops those that are gone, and compiles gatehound.mo. Translate what it names
and run it again. The bytes hold no dates and no versions, so that nothing changes without a text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gatehound._rules import LANGUAGES
from gatehound.model import EndReason

SOURCE: Final = Path(__file__).parents[1] / "src" / "gatehound"
FOLDER: Final = SOURCE / "web" / "locale"
METHODS: Final = [
    ("web/templates/**.html", "jinja2"),
    ("web/**.py", "python"),
    ("notify/templates/**", "jinja2"),
    ("notify/**.py", "python"),
]


COMMENT: Final = "# What the pages say; see tests/make_words.py."
# What readers need, and nothing of when and by what it was written.
HEADER: Final = (
    ("Language", "{locale}"),
    ("MIME-Version", "1.0"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Transfer-Encoding", "8bit"),
    ("Plural-Forms", "{plural_forms}"),
)


class Book(Catalog):
    """A catalog with a header of ours."""

    def __iter__(self) -> Iterator[Message]:
        lines = [
            f"{name}: {value.format(locale=self.locale, plural_forms=self.plural_forms)}\n"
            for name, value in HEADER
        ]
        yield Message("", "".join(lines))
        yield from [one for one in super().__iter__() if one.id]


def texts() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Yield each text of the pages, and the file that it is in; a tuple has its plural."""
    found = extract_from_dir(SOURCE, METHODS)
    for file, _line, text, _comments, _context in sorted(found, key=lambda one: one[:2]):
        yield file, text
    for reason in EndReason:  # ended.html shows them by `ended.text`
        yield "model.py", reason.text


def translated(language: str) -> Book:
    """Return the texts of today with the translations that there are."""
    path = file_of(language, "po")
    known = read_po(BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog()
    book = Book(locale=language, domain="gatehound", header_comment=COMMENT)
    for file, text in texts():
        there = known.get(text if isinstance(text, str) else text[0])
        book.add(text, there.string if there else None, locations=[(file, 0)])
    return book


def missing(book: Catalog) -> list[Message]:
    """Return the messages that have no translation, or not for every number."""
    return [one for one in book if one.id and not (one.string and all(forms(one)))]


def forms(message: Message) -> tuple[str, ...]:
    """Return the translations of a message: one, or one for each kind of number."""
    given = message.string
    return tuple(str(one or "") for one in (given if isinstance(given, tuple | list) else [given]))


def file_of(language: str, kind: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"gatehound.{kind}"


def po_of(book: Book) -> bytes:
    data = BytesIO()
    write_po(data, book, include_lineno=False)
    return data.getvalue()


def mo_of(book: Book) -> bytes:
    data = BytesIO()
    write_mo(data, book)
    return data.getvalue()


def make() -> int:
    """Write the files of every language but the first, which is that of the texts."""
    untranslated = 0
    for language in LANGUAGES[1:]:
        book = translated(language)
        file_of(language, "po").parent.mkdir(parents=True, exist_ok=True)
        file_of(language, "po").write_bytes(po_of(book))
        file_of(language, "mo").write_bytes(mo_of(book))
        for message in missing(book):
            untranslated += 1
            print(f"{language}: not translated: {message.id!r}")  # noqa: T201 - a command
    return untranslated


if __name__ == "__main__":
    sys.exit(bool(make()))
