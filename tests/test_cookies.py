"""The cookie: only what we sealed opens, and every way of sending it reads the same.

Not checked here: whether a browser keeps what `set_header` writes, and timing side channels of
the MAC comparison, which is itsdangerous' own.
"""

from __future__ import annotations

import hashlib
import hmac
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.cookie_shape import CookieShape
from gatehound.cookies import (
    ANONYMOUS,
    COOKIE_LENGTH,
    MAX_CANDIDATES,
    REMEMBERED,
    CookieCodec,
    Reading,
    Ticket,
)
from gatehound.errors import SettingsError

KEY, NEWER, OTHER = "k" * 32, "n" * 40, "o" * 32
SHAPE = CookieShape()
NAME = "__Host-gatehound"
EXPIRES = 1_800_000_000
CODEC = CookieCodec(secret_keys=[KEY], namespace="default", shape=SHAPE)


def make_ticket(mark: bytes = b"A", *, flags: int = 0, attributes: int = SHAPE.digest) -> Ticket:
    return Ticket(mark * 8, mark * 12, mark * 32, EXPIRES, flags, attributes)


def make_codec(*keys: str, shape: CookieShape = SHAPE, **labels: str) -> CookieCodec:
    return CookieCodec(secret_keys=keys or [KEY], shape=shape, **{"namespace": "default", **labels})


TICKET = make_ticket()
VALUE = CODEC.seal(TICKET)
PAIR = f"{NAME}={VALUE}"
OLD_VALUE = CODEC.seal(make_ticket(b"B", attributes=SHAPE.digest ^ 1))
FORGED = VALUE[:-2] + ("A" if VALUE[-2] != "A" else "B") + VALUE[-1]

quick = settings(derandomize=True, deadline=None)
tickets = st.builds(
    Ticket,
    sid=st.binary(min_size=8, max_size=8),
    alias=st.binary(min_size=12, max_size=12),
    secret=st.binary(min_size=32, max_size=32),
    expires=st.integers(0, 2**32 - 1),
    flags=st.integers(0, 255),
    attributes=st.integers(0, 255),
)


def reading(ticket: Ticket | None = TICKET, *, seen: int = 1, forged: int = 0) -> Reading:
    return Reading(ticket, forged=forged, candidates=seen, too_many=False, stale_key=False)


EMPTY = reading(None, seen=0)


def read_wsgi(text: str) -> Reading:
    """Read HTTP_COOKIE, as a server of WSGI that joins lines with "," hands it over."""
    return CODEC.read(text, commas=True)


def read_asgi(*values: str) -> Reading:
    """Read Cookie lines, as the ASGI adapter joins them."""
    return CODEC.read("; ".join(values), commas=False)


# ---- sealing and opening


@pytest.mark.slow
@quick
@given(tickets)
def test_what_is_sealed_opens_unchanged(ticket: Ticket) -> None:
    value = CODEC.seal(ticket)
    assert len(value) == COOKIE_LENGTH == 124
    assert (value.find("."), value.rfind(".")) == (80, 80)
    assert CODEC.open(value) == ticket


def test_the_layout_is_pinned_against_a_hand_made_cookie() -> None:
    derived = hmac.digest(KEY.encode(), b"gatehound.session.default", "sha256")
    payload = bytes([1, hashlib.sha256(derived).digest()[0], 3, 7])
    payload += b"A" * 8 + b"A" * 12 + b"A" * 32 + EXPIRES.to_bytes(4, "big")
    text = urlsafe_b64encode(payload)
    mac = urlsafe_b64encode(hmac.digest(derived, text, "sha256")).rstrip(b"=")
    ticket = make_ticket(flags=REMEMBERED | ANONYMOUS, attributes=7)
    assert CODEC.seal(ticket) == (text + b"." + mac).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sid": b"A" * 7},
        {"alias": b"A" * 13},
        {"secret": b""},
        {"expires": 2**32},
        {"expires": -1},
        {"flags": 256},
        {"attributes": -1},
    ],
)
def test_a_field_out_of_range_is_the_callers_fault(wrong: dict[str, bytes | int]) -> None:
    with pytest.raises(ValueError, match=r"ticket|range") as caught:
        CODEC.seal(replace(TICKET, **wrong))
    assert "AAAA" not in str(caught.value)


def test_a_ticket_is_frozen_and_keeps_its_secret_out_of_logs() -> None:
    ticket = make_ticket(b"S")
    assert "S" * 32 not in repr(ticket)
    assert b"S" * 32 not in dict(ticket.__rich_repr__()).values()
    with pytest.raises(AttributeError):
        ticket.expires = 0  # type: ignore[misc] # the point of the test


def test_an_expired_ticket_still_opens() -> None:
    over = replace(TICKET, expires=1)
    assert CODEC.open(CODEC.seal(over)) == over


# ---- nothing else opens

# Every character that base64 knows in any alphabet, what decoders skip, and what looks alike.
ODD = string.ascii_letters + string.digits + '-_+/=. \t\r\n\x00"%,;\x85\xa0\xff\uff10\ufb00\ud800'


@pytest.mark.parametrize("place", range(0, COOKIE_LENGTH + 1, 31))
def test_no_edit_of_one_character_opens(place: int) -> None:
    for at in range(place, min(place + 31, COOKIE_LENGTH + 1)):
        left, right = VALUE[:at], VALUE[at:]
        edits = {left + odd + right for odd in ODD} | {left + odd + right[1:] for odd in ODD}
        edits |= {left, right, right + left, left + right[1:]} - {VALUE}
        edits.discard(VALUE)
        assert [edit for edit in edits if CODEC.open(edit) is not None] == []


@pytest.mark.slow
@quick
@given(tickets, tickets, st.data())
def test_no_mixture_of_two_cookies_opens(one: Ticket, two: Ticket, data: st.DataObject) -> None:
    a, b = CODEC.seal(one), CODEC.seal(two)
    start = data.draw(st.integers(0, COOKIE_LENGTH))
    end = data.draw(st.integers(start, COOKIE_LENGTH))
    mixed = a[:start] + b[start:end] + a[end:]
    assert CODEC.open(mixed) == {a: one, b: two}.get(mixed)


@pytest.mark.slow
@quick
@given(st.binary(min_size=60, max_size=60), st.text(st.characters(), max_size=140))
def test_nothing_made_up_opens(payload: bytes, text: str) -> None:
    # The version and key id are right, so that the MAC is what refuses.
    real = urlsafe_b64encode(urlsafe_b64decode(VALUE[:80])[:2] + payload[2:]).decode()
    assert CODEC.open(real + VALUE[80:]) is None or real == VALUE[:80]
    assert CODEC.open(text) is None


def test_spellings_that_the_library_alone_would_accept_are_refused() -> None:
    last = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    loose = [VALUE[:-1] + last[last.index(VALUE[-1]) + bits] for bits in (1, 2, 3)]
    signer = CODEC._newest
    assert all(signer.validate(value) for value in loose)
    assert signer.validate(VALUE + "=")
    assert [CODEC.open(value) for value in [*loose, VALUE + "=", VALUE + "\n"]] == [None] * 5


def test_another_version_is_refused_even_with_a_right_mac() -> None:
    payload = b"\x02" + urlsafe_b64decode(VALUE[:80])[1:]
    assert CODEC.open(CODEC._newest.sign(urlsafe_b64encode(payload)).decode()) is None


@pytest.mark.parametrize(
    "codec",
    [
        make_codec(OTHER),
        make_codec(namespace="default2"),
        make_codec(purpose="elevated"),
        make_codec(purpose="default", namespace="session"),
    ],
    ids=["key", "namespace", "purpose", "swapped labels"],
)
def test_no_other_site_or_purpose_opens_it(codec: CookieCodec) -> None:
    assert codec.open(VALUE) is None
    assert codec.read(PAIR, commas=True) == reading(None, forged=1)
    # Also where the key id happens to be right: the MAC decides.
    payload = bytearray(urlsafe_b64decode(VALUE[:80]))
    payload[1] = codec._newest_id
    assert codec.open(urlsafe_b64encode(payload).decode() + VALUE[80:]) is None


# ---- key rotation


@pytest.mark.parametrize(
    ("keys", "opens", "stale"),
    [
        ([KEY], True, False),
        ([KEY, NEWER], True, False),
        ([NEWER, KEY], True, True),
        ([NEWER, OTHER, KEY], True, True),
        ([KEY, KEY], True, False),
        ([NEWER, OTHER], False, False),
        ([f"{place:032}" for place in range(600)] + [KEY], True, True),
    ],
    ids=["same", "kept newest", "second", "third", "twice", "gone", "601 keys"],
)
def test_a_rotated_list_of_keys(keys: list[str], opens: bool, stale: bool) -> None:
    codec = make_codec(*keys)
    found = codec.read(PAIR, commas=True)
    assert (found.ticket, found.stale_key) == (TICKET if opens else None, stale)
    assert codec.open(VALUE) == found.ticket
    assert codec.read(f"{NAME}={codec.seal(TICKET)}", commas=True) == reading()


def test_keys_whose_ids_collide_are_told_apart() -> None:
    same = (f"{n:032}" for n in count() if make_codec(f"{n:032}")._newest_id == CODEC._newest_id)
    twin = next(same)
    assert make_codec(twin).open(VALUE) is None
    assert make_codec(twin, KEY).read(PAIR, commas=True) == replace(reading(), stale_key=True)
    assert make_codec(KEY, twin).read(PAIR, commas=True) == reading()


# ---- reading

QUOTED = f'{NAME}="{VALUE}"'
RUBBISH = [
    "theme=dark",
    "a=b=c=",
    "",
    "=",
    "junk",
    'q="open',
    "\xff\xfe\x85=\xa0",
    f"x{PAIR}",
    f"__Host-{PAIR}",
    f"{NAME}2={VALUE}",
    f"{NAME} ={VALUE}",
    f"\xa0{PAIR}",
    f"\x85{PAIR}",
    f"\x1f{PAIR}",
    f"\x0b{PAIR}",
    f"\r\n {PAIR}",
    f'"{PAIR}"',
    PAIR.swapcase(),
    f"__host-gatehound={VALUE}",
    NAME,
]
# As sent by browsers, and as joined by gunicorn and wsgiref, waitress and uwsgi, granian.
SEPARATORS = ["; ", ";", ",", ", ", " ;\t", "; ;"]


@pytest.mark.parametrize("pair", [PAIR, QUOTED, f" {PAIR}\t", f"{NAME}= {VALUE} "])
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_our_cookie_is_found_among_rubbish(pair: str, rubbish: str) -> None:
    assert read_wsgi(rubbish) == EMPTY
    for separator in SEPARATORS:
        for parts in ([pair], [rubbish, pair], [pair, rubbish], [rubbish, pair, rubbish]):
            whole = separator.join(parts)
            assert read_wsgi(whole) == reading(), whole
            assert read_asgi(*parts) == reading(), parts
            if ";" in separator:
                assert read_asgi(whole) == reading(), whole


@pytest.mark.parametrize(
    ("value", "opens"),
    [
        (f'"{VALUE}"', True),
        (f'""{VALUE}""', False),
        (f'"{VALUE}', False),
        (f'{VALUE}"', False),
        (f'" {VALUE}"', False),
        (f"'{VALUE}'", False),
        ('"', False),
        ('""', False),
        ("", False),
        (f"{VALUE}={VALUE}", False),
        (f"{VALUE} x", False),
        (f"{VALUE}\xa0", False),
        (f"%{VALUE}", False),
    ],
)
def test_one_pair_of_quotes_is_all_that_is_taken_off(value: str, opens: bool) -> None:
    expected = reading() if opens else reading(None, forged=1)
    assert read_wsgi(f"{NAME}={value}") == expected
    assert read_asgi(f"a=1; {NAME}={value}") == expected


BAD, OLD = f"{NAME}={FORGED}", f"{NAME}={OLD_VALUE}"
OLD_TICKET = CODEC.open(OLD_VALUE)


@pytest.mark.parametrize(
    ("parts", "separator", "expected"),
    [
        ([BAD, PAIR], "; ", reading(seen=2, forged=1)),
        ([PAIR, BAD], "; ", reading(seen=2, forged=1)),
        ([BAD, PAIR], ",", reading(seen=2, forged=1)),
        ([PAIR, BAD], ", ", reading(seen=2, forged=1)),
        ([BAD, BAD, BAD, PAIR], "; ", reading(seen=4, forged=3)),
        ([PAIR, PAIR], "; ", reading(seen=2)),
        # both verify: the one with the present attributes wins
        ([OLD, PAIR], "; ", reading(seen=2)),
        ([PAIR, OLD], "; ", reading(seen=2)),
        ([OLD], "; ", reading(OLD_TICKET)),
        ([BAD, OLD], "; ", reading(OLD_TICKET, seen=2, forged=1)),
    ],
)
def test_of_several_cookies_the_one_that_verifies(
    parts: list[str], separator: str, expected: Reading
) -> None:
    assert read_wsgi(separator.join(parts)) == expected
    assert read_asgi(*parts) == expected
    assert read_asgi("a=1", *parts, "b=2") == expected


def test_a_cookie_hidden_in_anothers_value_never_beats_a_real_one() -> None:
    planted = CODEC.seal(make_ticket(b"X"))
    assert read_wsgi(f"a=1,{NAME}={planted}; {PAIR}").ticket == TICKET
    assert read_wsgi(f"a=1,{NAME}={planted}; {OLD}").ticket == OLD_TICKET
    assert read_asgi(f"a=1,{NAME}={planted}") == EMPTY
    assert read_wsgi(f"{PAIR}; a=1,{NAME}={planted}").ticket == TICKET


def test_of_two_equals_the_first_wins() -> None:
    twin = CODEC.seal(make_ticket(b"X"))
    assert read_wsgi(f"{PAIR}; {NAME}={twin}").ticket == TICKET
    assert read_wsgi(f"a=1,{PAIR},{NAME}={twin}").ticket == TICKET


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("more", [1, 2, 3000])
def test_too_many_are_counted_and_none_is_tried(
    separator: str, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hmac, "digest", None)
    header = separator.join([PAIR] * (MAX_CANDIDATES + more))
    expected = Reading(None, forged=0, candidates=5, too_many=True, stale_key=False)
    assert read_wsgi(header) == expected
    assert read_asgi(*header.split(separator)) == expected


def test_no_mac_is_made_for_what_cannot_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "digest", None)
    flipped = urlsafe_b64encode(b"\x09" + urlsafe_b64decode(VALUE[:80])[1:]).decode() + VALUE[80:]
    for value in ("", VALUE[:-1], VALUE + "A", VALUE.replace(".", "!"), flipped):
        assert CODEC.open(value) is None
    with pytest.raises(TypeError):
        CODEC.open(VALUE)


def test_a_request_without_our_cookie_shares_one_reading() -> None:
    empty = read_asgi()
    assert empty == EMPTY
    assert read_asgi("theme=dark; lang=en") is empty
    assert read_wsgi("") is read_wsgi("a=1") is empty


def test_text_outside_latin_1_does_not_raise() -> None:
    assert read_wsgi(f"ж=\ud800; {PAIR}") == reading()


def test_a_name_full_of_pattern_characters_is_taken_literally() -> None:
    codec = make_codec(shape=CookieShape(name="a.b*|^$"))
    assert codec.read(f"a.b*|^$={VALUE}", commas=True) == reading()
    assert codec.read(f"axb={VALUE}; a.bb={VALUE}", commas=True) == EMPTY


fragments = st.sampled_from(
    [NAME, f"{NAME}=", VALUE, FORGED, OLD_VALUE, PAIR, ";", ",", "; ", '"', " ", "\t", "x", "="]
)
soup = st.lists(fragments | st.text(st.characters(max_codepoint=255), max_size=6), max_size=14)


def read_naively(header: str) -> tuple[list[str], list[str]]:
    """The rule in other words: split on ";" first, then what splitting on "," adds."""
    pieces = [piece.split(",") for piece in header.split(";")]
    values: tuple[list[str], list[str]] = ([], [])
    for piece in pieces:
        for place, part in enumerate(piece):
            name, equals, value = part.lstrip(" \t").partition("=")
            if name == NAME and equals:
                value = value.strip(" \t")
                quoted = len(value) > 1 and value[0] == value[-1] == '"'
                values[place > 0].append(value[1:-1] if quoted else value)
    return values


@pytest.mark.slow
@quick
@given(soup)
@example([PAIR, ",", PAIR, ";", PAIR, '"', ";", PAIR])
def test_reading_agrees_with_naive_splitting(parts: list[str]) -> None:
    header = "".join(parts)
    found = read_wsgi(header)
    first, then = read_naively(header)
    values = first + then
    assert found.candidates == min(len(values), MAX_CANDIDATES + 1)
    assert found.too_many == (len(values) > MAX_CANDIDATES)
    if not found.too_many:
        opened = [[ticket for v in level if (ticket := CODEC.open(v))] for level in (first, then)]
        assert found.forged == len(values) - len(opened[0]) - len(opened[1])
        expected = opened[0] or opened[1]
        present = [ticket for ticket in expected if ticket.attributes == SHAPE.digest]
        assert found.ticket == next(iter(present or expected), None)


@pytest.mark.slow
@quick
@given(
    st.lists(st.text(st.characters(max_codepoint=255)), max_size=4),
    st.text(st.characters()),
)
def test_reading_never_raises(values: list[str], text: str) -> None:
    for commas in (True, False):
        found = CODEC.read("; ".join(f"{NAME}={value}" for value in values), commas=commas)
        assert found.ticket is None
        assert len(values) <= found.candidates == found.forged or found.too_many
    assert read_wsgi(text) == EMPTY
    assert read_wsgi(f"{NAME}={text}").ticket is None


# ---- Set-Cookie


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        (CookieShape(), "; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (CookieShape(samesite="STRICT"), "; Path=/; Secure; HttpOnly; SameSite=Strict"),
        (
            CookieShape(samesite="None", partitioned=True),
            "; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        ),
        (
            CookieShape(name="__Secure-gatehound-elevated", path="/admin", samesite="Strict"),
            "; Path=/admin; Secure; HttpOnly; SameSite=Strict",
        ),
        (
            CookieShape(name="__Secure-g", domain="example.com"),
            "; Domain=example.com; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        (CookieShape(name="dev", secure=False), "; Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_set_and_clear_carry_the_same_attributes(shape: CookieShape, attributes: str) -> None:
    codec = make_codec(shape=shape)
    ticket = make_ticket(attributes=shape.digest)
    kept = replace(ticket, flags=REMEMBERED)
    now = EXPIRES - 60.5
    epoch = "Thu, 01 Jan 1970 00:00:00 GMT"
    assert codec.set_header(ticket, now=now) == f"{shape.name}={codec.seal(ticket)}{attributes}"
    assert codec.set_header(kept, now=now) == (
        f"{shape.name}={codec.seal(kept)}; Max-Age=60{attributes}"
    )
    assert codec.clear_header() == f"{shape.name}=; Max-Age=0; Expires={epoch}{attributes}"


@pytest.mark.parametrize(
    ("flags", "now", "max_age"),
    [
        (0, EXPIRES - 60, None),
        (ANONYMOUS, EXPIRES - 60, None),
        (REMEMBERED, EXPIRES - 60, "60"),
        (REMEMBERED | ANONYMOUS, EXPIRES - 0.1, "0"),
        (REMEMBERED, EXPIRES + 5, "0"),
    ],
)
def test_max_age_only_where_remembered(flags: int, now: float, max_age: str | None) -> None:
    header = CODEC.set_header(make_ticket(flags=flags), now=now)
    found = [part[8:] for part in header.split("; ") if part.startswith("Max-Age=")]
    assert found == ([] if max_age is None else [max_age])


def test_set_header_writes_the_digest_that_it_sets() -> None:
    header = CODEC.set_header(make_ticket(attributes=SHAPE.digest ^ 1), now=0)
    assert read_wsgi(header.split(";")[0]) == reading()


# ---- settings


def test_the_digest_is_pinned_and_follows_every_attribute() -> None:
    parts = b"('__Host-gatehound', None, '/', True, 'lax', False)"
    assert SHAPE.digest == hashlib.sha256(parts).digest()[0]
    assert CookieShape(samesite="LAX") == SHAPE
    assert CookieShape(samesite="LAX").digest == SHAPE.digest
    others = [
        CookieShape(name="__Secure-g"),
        CookieShape(domain="a.example"),
        CookieShape(path="/a"),
        CookieShape(secure=False),
        CookieShape(samesite="strict"),
        CookieShape(partitioned=True),
    ]
    assert SHAPE.digest not in {shape.digest for shape in others}


@pytest.mark.parametrize(
    "shape",
    [
        CookieShape(),
        CookieShape(samesite="None", partitioned=True),
        CookieShape(name="__Secure-g", domain=".example.com", path="/a/b"),
        CookieShape(name="sid", secure=False, samesite="strict"),
        CookieShape(name="sid", domain="127.0.0.1", secure=False),
        CookieShape(name="!#$%&'*+-.^_`|~09azAZ", path="/" + "a" * 1023),
    ],
)
def test_legal_shapes_have_no_problems(shape: CookieShape) -> None:
    assert shape.problems() == []
    make_codec(shape=shape)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (CookieShape(domain="example.com"), [("cookie.domain", "'example.com'", "leave it out")]),
        (CookieShape(path="/app"), [("cookie.path", "'/app'", "'__Secure-gatehound'")]),
        (CookieShape(secure=False), [("cookie.secure", "False", "take the prefix off")]),
        (
            CookieShape(domain="a.example", path="/app", secure=False),
            [("cookie.domain", "'a.example'"), ("cookie.path", "'/app'"), ("cookie.secure",)],
        ),
        (CookieShape(name="__Secure-g", secure=False), [("cookie.secure", "'__Secure-g'")]),
        (CookieShape(name="__host-g"), [("cookie.name", "'__host-g'", "write '__Host-g'")]),
        (CookieShape(name="__SECURE-g"), [("cookie.name", "write '__Secure-g'")]),
        (
            CookieShape(name="__HOST-g", path="/x"),
            [("cookie.name", "write '__Host-g'"), ("cookie.path", "'/x'", "'__Secure-g'")],
        ),
        (
            CookieShape(name="g", secure=False, samesite="none"),
            [("cookie.secure", "'none'", "'lax'")],
        ),
        (
            CookieShape(name="g", secure=False, partitioned=True),
            [("cookie.secure", "partitioned", "__Host- name and path '/'")],
        ),
        (CookieShape(samesite="Laxx"), [("cookie.samesite", "'laxx'", "'strict'", "set 'lax'")]),
        (CookieShape(samesite=""), [("cookie.samesite", "''")]),
        *[
            (CookieShape(name=name), [("cookie.name", repr(name), "letters, digits")])
            for name in ("", "a b", "a=b", "a;b", "a,b", 'a"b', "é", "a\n", "a\x00", "n" * 257)
        ],
        *[
            (CookieShape(name="g", domain=domain), [("cookie.domain", repr(domain), "host name")])
            for domain in (
                *("", "a;b", "a,b", "a b", "a\r\n", "a\x00", "https://a", "a:80", "a..b", "ж.рф"),
                *("..a", "a.", "[::1]", "a." * 127 + "a"),
            )
        ],
        *[
            (CookieShape(name="g", path=path), [("cookie.path", repr(path), "percent-encode")])
            for path in ("", "a", "/a;b", "/a,b", "/a b", "/\n", "/\x7f", "/é", "/" + "a" * 1024)
        ],
    ],
)
def test_illegal_shapes_are_refused_in_one_error(
    shape: CookieShape, expected: list[tuple[str, ...]]
) -> None:
    problems = shape.problems()
    assert len(problems) == len(expected), problems
    for problem, words in zip(problems, expected, strict=True):
        assert problem.startswith(f"{words[0]}: ")
        assert [word for word in ("was given;", *words) if word not in problem] == []
    with pytest.raises(SettingsError) as caught:
        make_codec(shape=shape)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret_keys": []}, ("secret_keys: no key", "keygen")),
        ({"secret_keys": ""}, ("secret_keys: no key",)),
        ({"secret_keys": KEY}, ("secret_keys: one text", "list of keys")),
        ({"secret_keys": [KEY, "hunter2" * 4]}, ("secret_keys[1]: 28", "at least 32", "keygen")),
        ({"secret_keys": ["hunter2" * 5 + "\udcff"]}, ("secret_keys[0]: 36", "UTF-8")),
        ({"namespace": "a.b"}, ("namespace: 'a.b'", "a-z")),
        ({"namespace": ""}, ("namespace: ''",)),
        ({"namespace": "n" * 33}, ("namespace: ",)),
        ({"namespace": "default\n"}, ("namespace: 'default\\n'",)),
        ({"purpose": "Session"}, ("purpose: 'Session'",)),
    ],
)
def test_wrong_keys_and_labels_are_refused(
    options: dict[str, object], words: tuple[str, ...]
) -> None:
    right: dict[str, object] = {"secret_keys": [KEY], "namespace": "default", "shape": SHAPE}
    with pytest.raises(SettingsError) as caught:
        CookieCodec(**{**right, **options})  # type: ignore[arg-type] # wrong on purpose
    assert len(caught.value.problems) == 1
    assert [word for word in words if word not in caught.value.problems[0]] == []
    assert "hunter2" not in str(caught.value)


def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        CookieCodec(
            secret_keys=["short"], namespace="N", purpose="P", shape=CookieShape(domain="a,b")
        )
    starts = [problem.split(":")[0] for problem in caught.value.problems]
    assert starts == ["secret_keys[0]", "cookie.domain", "cookie.domain", "namespace", "purpose"]
