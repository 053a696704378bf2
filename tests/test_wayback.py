"""Where `next` leads: to a path of this site, whatever was sent and whoever signed it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatehound.asgi import ScopeRequest
from gatehound.tokens import CSRFTokens
from gatehound.wayback import LIFE, MAX_TARGET, NOBODY, WayBack, is_local, target_of
from gatehound.wsgi import EnvironRequest

SITE = "https://app.example/"
SECRET, OLDER = "s" * 40, "o" * 40
ALICE, MALLORY = b"alice--1", b"mallory1"
WAY = WayBack(secret_keys=[SECRET, OLDER], namespace="default")

ATTACKS = (
    *("//evil", "///evil", "/\\evil", "\\/evil", "\\\\evil", "/\t/evil", "/\n/evil", "/\r\n/evil"),
    *(
        "/%5cevil",
        "/%5Cevil",
        "/%255cevil",
        "/%25255cevil",
        "/%2f%2fevil",
        "/%2fevil",
        "%2f%2fevil",
    ),
    *("/%252f%252fevil", "/%09/evil", "/%2509/evil", "/%0a/evil", "/%00", "/\x7f", "/%7f", "/\x85"),
    *(
        "https:evil",
        "https://evil",
        "https:/evil",
        "javascript:alert(1)",
        "data:,x",
        "evil",
        "",
        " ",
    ),
    *(
        "?//evil",
        "#//evil",
        "/./\\evil",
        "/.//evil",
        "/..//evil",
        "/a/../..//evil",
        "/%2e%2e//evil",
    ),
    *("/a/..", "/\ufffd", "/%ff", "/\ud800", "/%25%35%63evil", "/%2525252525255c", " //evil"),
    "/a\r\nSet-Cookie: a=b",
    "/%0d%0aSet-Cookie:%20a=b",
)


def scope(path: str, query: bytes = b"") -> ScopeRequest:
    return ScopeRequest(
        {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": []}
    )


def environ(path: bytes, query: bytes = b"") -> EnvironRequest:
    return EnvironRequest(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path.decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
        }
    )


def as_browsers_read(location: str) -> str:
    """Resolve as the URL standard does where that differs from urljoin.

    Its basic parser strips control characters and blanks around a URL, removes tabs and line
    breaks from all of it, and takes a backslash for a slash.
    """
    stripped = location.strip("".join(map(chr, range(0x21))))
    for dropped in "\t\n\r":
        stripped = stripped.replace(dropped, "")
    path, mark, query = stripped.partition("?")
    return urljoin(SITE, path.replace("\\", "/") + mark + query)


def assert_stays(location: str) -> None:
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    read = urlsplit(as_browsers_read(location))
    assert (read.scheme, read.netloc) == ("https", "app.example")
    assert location.startswith("/")
    assert not location.startswith("//")


@pytest.mark.parametrize("path", ATTACKS)
def test_attack_in_the_path_of_a_request(path: str) -> None:
    assert not is_local(path)
    assert target_of(scope(path)) == "/"
    raw = path.encode("utf-8", "surrogatepass")
    assert target_of(environ(raw)) == "/"


@pytest.mark.parametrize("path", [path for path in ATTACKS if path.isascii()])
def test_attack_that_somebody_signed(path: str) -> None:
    """Another release, or another program with the same keys: it is looked at again."""
    assert WAY.open(WAY.seal(path, ALICE), ALICE) == "/"


@pytest.mark.parametrize("query", [b"a=%0d%0ab", b"a=%00", b"\x01", b"a\tb", b"%7f"])
def test_a_query_with_control_characters_is_left_out(query: bytes) -> None:
    assert target_of(scope("/a", query)) == target_of(environ(b"/a", query)) == "/a"


def test_seal_and_open() -> None:
    for target in ("/", "/inbox", "/a%20b/%C3%A9?x=1&y=//z", "/" + "x" * (MAX_TARGET - 1)):
        value = WAY.seal(target, ALICE)
        assert WAY.open(value, ALICE) == target
        assert set(value) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
        )
        assert ALICE.hex() not in value


def test_what_does_not_verify_leads_home() -> None:
    value = WAY.seal("/inbox", ALICE)
    others: list[Any] = [None, 5, "", ".", "...", "x" * 10_000, "//evil", "/inbox", "é", "\ud800"]
    for place in range(len(value)):
        others.append(value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :])
        others.append(value[:place])
    others += [value + "A", " " + value, value + "=", ALICE.hex() + "." + value]
    opened = {other for other in others if WAY.open(other, ALICE) != "/"}
    # The same bytes in other spellings: with the padding that is left out, and with the two bits
    # of the last character that no decoder looks at.
    assert opened <= {value + "=", value[:-1] + "B"}
    assert {WAY.open(other, ALICE) for other in opened} <= {"/inbox"}


def test_another_session_key_namespace_or_purpose() -> None:
    value = WAY.seal("/inbox", ALICE)
    assert WAY.open(value, MALLORY) == "/"
    assert WAY.open(value, NOBODY) == "/"
    assert WAY.open(WAY.seal("/inbox", NOBODY), ALICE) == "/"
    assert WAY.open(WAY.seal("/inbox", NOBODY), NOBODY) == "/inbox"
    other = WayBack(secret_keys=["x" * 40], namespace="default")
    assert other.open(value, ALICE) == "/"
    assert WayBack(secret_keys=[SECRET], namespace="b").open(value, ALICE) == "/"
    token = CSRFTokens(secret_keys=[SECRET], namespace="default").make(ALICE)
    assert WAY.open(token, ALICE) == "/"
    assert not CSRFTokens(secret_keys=[SECRET], namespace="default").check(value, ALICE)


def test_keys_rotate() -> None:
    old = WayBack(secret_keys=[OLDER], namespace="default").seal("/inbox", ALICE)
    assert WAY.open(old, ALICE) == "/inbox"
    assert WayBack(secret_keys=[SECRET], namespace="default").open(old, ALICE) == "/"


@pytest.mark.parametrize(
    ("after", "leads"), [(0, True), (LIFE - 1, True), (LIFE + 2, False), (-59, True), (-62, False)]
)
def test_it_is_good_for_an_hour(monkeypatch: pytest.MonkeyPatch, after: float, leads: bool) -> None:
    value, now = WAY.seal("/inbox", ALICE), time.time()
    monkeypatch.setattr("gatehound.wayback.time.time", lambda: now + after)
    assert (WAY.open(value, ALICE) == "/inbox") is leads


PATHS = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.sampled_from(
            [
                b"/",
                b"//",
                b"\\",
                b"..",
                b".",
                b"%2f",
                b"%5c",
                b"%09",
                b"%25",
                b"\t",
                b"evil.example",
            ]
        ),
    ),
    max_size=8,
).map(b"".join)


@given(path=PATHS, query=PATHS)
@example(path=b"/evil", query=b"")
@example(path=b"\\evil", query=b"\\")
@example(path=b"\xef\xbc\x8fevil", query=b"\xff")
def test_any_request_leads_back_to_this_site(path: bytes, query: bytes) -> None:
    """Not checked: that it is the same page; a server may not tell what was encoded."""
    for request in (
        environ(b"/" + path, query),
        scope("/" + path.decode("utf-8", "replace"), query),
        scope(path.decode("utf-8", "surrogateescape"), query),
    ):
        target = WAY.open(WAY.seal(target_of(request), ALICE), ALICE)
        assert_stays(target)
        assert len(target) <= MAX_TARGET


@given(st.text(), st.binary(max_size=8))
@settings(max_examples=50)
def test_any_text_leads_to_this_site(text: str, owner: bytes) -> None:
    assert_stays(WAY.open(text, owner))


@given(st.text(alphabet="abcdefghij/-_~é:@!$&'()*+,;= ", max_size=30))
def test_a_plain_path_is_led_back_to(text: str) -> None:
    path = "/" + text.lstrip("/")
    assert is_local(path)
    assert unquote(target_of(scope(path))) == path
