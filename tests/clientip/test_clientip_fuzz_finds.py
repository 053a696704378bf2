"""Every input of the fuzzer's corpus, through its oracle; and the oracle, through its tests.

What the oracle checks and leaves out is said in tests/fuzz/oracle.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fuzz import oracle
from fuzz.oracle import (
    JUDGES,
    Request,
    Subject,
    Trusted,
    check,
    facts,
    read,
    scope_answer,
    subjects,
)
from fuzz.reference import Reference
from gatehound.clientip import ClientIPResolver
from gatehound.clientip.modes import MODES

TESTS = Path(__file__).parents[1]
CORPUS = sorted((TESTS / "fuzz" / "corpus").iterdir())
PLAIN = re.compile(r"unix|(?!::ffff:)[0-9a-f.:]+(/[0-9]+)?").fullmatch  # what the reference reads
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((TESTS / "data" / "client_ip.json").read_text(encoding="utf-8"))
    if vector["config"]["mode"] == oracle.X
    and all(map(PLAIN, vector["config"].get("trusted_proxies", "*")))
]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_input(path: Path) -> None:
    check(path.read_bytes())


def test_inputs_reach_every_chosen_resolver_and_most_reasons() -> None:
    asked = [read(path.read_bytes(), 0) for path in CORPUS]
    chosen = {id(request.subject) for request in asked}
    assert chosen >= {id(subject) for subject in subjects()[: len(oracle.CHOSEN)]}
    reasons = {scope_answer(request, request.lines).reason for request in asked}
    assert len(reasons) >= 12, reasons


def test_every_mode_has_a_resolver() -> None:
    assert {subject.resolver.mode for subject in subjects()} >= set(MODES)


@pytest.mark.slow
def test_any_bytes_are_an_input() -> None:
    for byte in range(256):
        for data in (bytes([byte]), bytes([97, byte]), b"aa\n" + bytes([byte]), b"as" * byte):
            check(data)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_reference_knows_the_vectors(vector: dict[str, Any]) -> None:
    values = [value for name, value in vector["headers"] if name.lower() == oracle.X]
    answer = Reference(**vector["config"]).answer(vector["peer"], values)
    assert answer is None or answer[0] == vector["expect"]


def test_enough_vectors_reach_the_reference() -> None:
    assert len(VECTORS) > 40


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("trusts less", {"trusted_proxies": ["10.0.0.0/9"]}, "a203.0.113.7, 10.200.0.1", "reference"),
    ("trusts more", {"trusted_proxies": "10.0.0.0/8, 203.0.113.7"}, "a203.0.113.7", "reference"),
    ("trusts unix", {"trusted_proxies": "10.0.0.0/8, unix"}, "a1.1.1.1,unix:", "reference"),
    ("counts", {"trusted_proxies": "10.0.0.0/8", "hops": 2}, "a1.1.1.1,2.2.2.2", "reference"),
]


@pytest.mark.parametrize(("what", "options", "line", "why"), WRONG, ids=[w[0] for w in WRONG])
def test_reference_catches_a_resolver_that(
    what: str, options: dict[str, Any], line: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Reference(mode=oracle.X, trusted_proxies=["10.0.0.0/8"])
    wrong = Subject(ClientIPResolver(mode=oracle.X, **options), Trusted([]), right)
    monkeypatch.setattr(oracle, "subjects", lambda: (wrong,))
    with pytest.raises(AssertionError, match=why):
        check(f"aa\n{line}".encode())


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__)
def test_judge_catches_an_answer_to_another_request(judge: oracle.Judge) -> None:
    request, other = read(b"aa\na203.0.113.7\n!junk", 0), read(b"aa\na203.0.113.8", 0)
    judge(request, scope_answer(request, request.lines), 0)
    with pytest.raises(AssertionError):
        judge(request, scope_answer(other, other.lines), 0)


def test_trusted_address_without_its_flag_is_caught() -> None:
    request = read(b"aa\na203.0.113.7", 0)
    everyone = request.subject._replace(trusted=Trusted(["0.0.0.0/0"]))
    answer = scope_answer(request, request.lines)
    with pytest.raises(AssertionError):
        oracle.judge_address(Request(everyone, *request[1:]), answer)
    assert facts(answer)[2] == "client"
