"""Beside uvicorn, ProxyFix and python-ipware: the same answer, or a difference that is listed.

The oracle is the other library. Not checked: their answers for schemes, hosts and other
headers, and the header of more than a few hundred characters.
"""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peers_kit import OWN, PAIRS, Request, agree, compare, parse
from peers_page import PAGE, THEIRS
from peers_rows import ROWS, Row

FOREIGN = ["203.0.113.7", "198.51.100.9", "192.168.1.1", "8.8.8.8", "2001:db8::7", "2600::1"]
TRUSTED = ["10.0.0.2", "10.255.255.255", "2001:db8:ff::1", "2001:db8:ff:ffff::"]
V4 = [text for text in FOREIGN + TRUSTED if ":" not in text]
V6 = [text for text in FOREIGN + TRUSTED if ":" in text]

ODD = [
    *(f"{text}:4711" for text in V4),
    *(form.format(text) for text in V6 for form in ("[{}]", "[{}]:443", "{}%eth0", "[{}%1]:80")),
    *(form.format(text) for text in V4 for form in ("::ffff:{}", "[::ffff:{}]:80", '"{}"')),
    *(form.format(text) for text in V4 for form in ("{}:70000", "{}:+80", "{}:", "{}:x", "[{}]")),
    *(form.format(text) for text in V6 for form in ("[{}]:x", "[{}]x", "[{}", "{}]", "[{}]:")),
    *(form.format(text) for text in V4 for form in ("\xa0{}", "{}\x0b", "'{}'", "for={}", '"{}')),
    "", " ", "\t", "\xa0", "unix:", "unknown", "_hidden", "localhost", "-", '"', "\\",
    "010.0.0.1", "10.1", "0x0a000001", "167772161", "10.0.0.256", "\x00", "1.1.1.1 2.2.2.2",
    "0.0.0.0", "0.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1",  # noqa: S104 - a hop, no bind
    "64:ff9b::a00:2", "2002:a00:2::", "::10.0.0.2", "::ffff:0.0.0.0", "64:ff9b:1::a00:2",
]  # fmt: skip
PEERS = [
    "10.0.0.1", "2001:db8:ff::9", "::ffff:10.0.0.1", "203.0.113.9", "2001:db8::9",
    "::ffff:203.0.113.9", None, "", "localhost", "testclient", "10.0.0.1:4711", "0.0.0.0",  # noqa: S104 - a text that uwsgi reports, no bind
]  # fmt: skip

latin = st.characters(min_codepoint=0, max_codepoint=255)
elements = st.one_of(
    st.sampled_from(FOREIGN + TRUSTED),
    st.sampled_from(TRUSTED),
    st.sampled_from(ODD),
    st.text(latin, max_size=12),
    st.text(st.sampled_from("0123456789abf.:[]%, \t\"'\\=+_\xa0"), max_size=24),
)


@st.composite
def lines_of(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> tuple[str, ...]:
    """Write a chain in lines, cut at some of its commas."""
    lines: list[str] = []
    for text in draw(st.lists(texts, max_size=6)):
        if draw(st.booleans()) and lines:
            lines[-1] += draw(st.sampled_from([",", ", "])) + text
        else:
            lines.append(text)
    return tuple(lines)


pairs = st.sampled_from(sorted(PAIRS))
requests = st.builds(
    Request, st.one_of(st.just("10.0.0.1"), st.sampled_from(PEERS)), lines_of(elements)
)
plain_lines = lines_of(st.sampled_from(FOREIGN + TRUSTED)).filter(len)
plain = st.builds(Request, st.sampled_from(["10.0.0.1", "2001:db8:ff::9"]), plain_lines)


many = settings(max_examples=10_000, deadline=None, database=None)


def need_agreement(key: tuple[str, int], request: Request) -> None:
    case = compare(PAIRS[key], request)
    if key[0] == "werkzeug" and case.ours.reason == "too-few-hops":
        assert case.theirs == request.peer  # the row "too-short", the only one within reach
    else:
        assert agree(case), case


@pytest.mark.slow
@given(pairs, plain)
@settings(max_examples=2 * settings().max_examples, deadline=None)
def test_plain_addresses_get_the_same_answer(key: tuple[str, int], request: Request) -> None:
    need_agreement(key, request)


@pytest.mark.full
@pytest.mark.ci
@given(pairs, plain)
@many
def test_plain_addresses_get_the_same_answer_at_length(
    key: tuple[str, int], request: Request
) -> None:
    need_agreement(key, request)


@pytest.mark.slow
@given(st.sampled_from(["203.0.113.9", "2001:db8::9"]), lines_of(elements))
def test_untrusted_peer_is_the_client_for_uvicorn_too(peer: str, lines: tuple[str, ...]) -> None:
    case = compare(PAIRS["uvicorn", 0], Request(peer, lines))
    assert agree(case)
    assert str(case.ours.address) == peer


def need_row(key: tuple[str, int], request: Request) -> None:
    case = compare(PAIRS[key], request)
    if not agree(case):
        name = PAIRS[key].classify(case)
        listed = {row.name for row in ROWS if row.library == key[0]}
        assert name in listed, (name, case, case.ours.explain())


@pytest.mark.slow
@given(pairs, requests)
@settings(max_examples=5 * settings().max_examples, deadline=None)
@example(("uvicorn", 0), Request("10.0.0.1", ("203.0.113.7, [10.0.0.2]",)))
@example(("python-ipware", 1), Request("10.0.0.1", ("1.1.1.1", "\xa0")))
def test_every_disagreement_is_listed(key: tuple[str, int], request: Request) -> None:
    need_row(key, request)


@pytest.mark.full
@pytest.mark.ci
@given(pairs, requests)
@many
def test_every_disagreement_is_listed_at_length(key: tuple[str, int], request: Request) -> None:
    need_row(key, request)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.library}-{row.name}")
def test_row(row: Row) -> None:
    pair = PAIRS[row.library, row.hops]
    case = compare(pair, Request(row.peer, row.lines))
    address = case.ours.address
    assert (None if address is None else str(address), case.ours.reason) == (row.ours, row.reason)
    if case.theirs == row.theirs:
        assert not agree(case)
        assert pair.classify(case) == row.name
    else:  # a release that was not observed may have come to our answer: then drop the row
        assert version(row.library) != row.seen
        assert agree(case), f"{row.library} answers {case.theirs!r} now; look at the row again"


def test_rows_are_one_for_a_class_and_say_why() -> None:
    counted = Counter((row.library, row.name) for row in ROWS)
    assert set(counted.values()) == {1}
    assert all(row.why.endswith(".") and ". " not in row.why for row in ROWS)
    assert all(parse(row.theirs) != parse(row.ours) for row in ROWS)
    assert len({row.seen for row in ROWS}) == len({row.library for row in ROWS}) == 3


def test_no_classifier_takes_everything() -> None:
    """An answer that nothing in the request explains is named by no classifier."""
    for key, pair in PAIRS.items():
        for text in (*FOREIGN, *TRUSTED):
            chain = ", ".join([text, *["10.0.0.2"] * max(key[1] - 1, 0)])
            case = compare(pair, Request("10.0.0.1", (chain,)))
            assert agree(case)
            for wrong in ("192.0.2.66", "junk", None):
                assert pair.classify(case._replace(theirs=wrong)) is None, (key, text, wrong)


def test_both_sides_trust_the_same_networks() -> None:
    for pair in PAIRS.values():
        assert pair.resolver.trusted_proxies == (*OWN, "unix")


def test_page_says_what_the_rows_say() -> None:
    """No row is left out, and nothing in a cell ends it early."""
    assert {row.library for row in ROWS} == set(THEIRS)
    assert PAGE.committed() == PAGE.make(), "run tests/clientip/peers_page.py"
    told = [line for line in PAGE.committed().splitlines() if line.startswith("| ")]
    assert len(told) == len(ROWS) + len(THEIRS)
    assert {line.count("|") for line in told} == {7, 8}
