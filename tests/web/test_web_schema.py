"""The JSON API keeps what its OpenAPI document says, for requests that schemathesis makes up.

Oracle: the document. Each answer has a status, a content type, a body and headers that are there
for its operation, and is no fault of the server. Requests are made up after the document and
against it, with the token and the ids of a person or without. Not checked here: that an answer is
the right one of those (see test_web_api.py), and what the whole site refuses.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import urljoin

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, checks
from schemathesis.schemas import APIOperation
from web_kit import FIREFOX, Person, Place

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
HERE = "https://shop.example/sessions/api/openapi.json"
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# What each operation answers with at least once: else the requests that are made up are too poor.
REACHED = {
    "GET /sessions": {200, 400},
    "DELETE /sessions/{id}": {200, 403, 404},
    "POST /end-others": {200, 403},
    "POST /sign-out": {200, 403},
    "POST /confirm": {200, 403},
    "GET /token": {200},
    "GET /address": {200},
    "GET /openapi.json": {200},
}


def schema_of(place: Place) -> Any:
    """The document as it is served, with its relative server resolved (RFC 3986)."""
    said = place.person().call("GET", "openapi.json").json()
    said["servers"] = [{"url": urljoin(HERE, said["servers"][0]["url"])}]
    return schemathesis.openapi.from_dict(said)


def cases(operation: Operation) -> st.SearchStrategy[Case[Any]]:
    """Requests that the document allows, and such that it does not."""
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return operation.as_strategy() | wrong


def sent(person: Person, case: Case[Any], *, knows: bool) -> httpx.Response:
    """Send a case, with a good token and a good id where its person knows them."""
    kwargs = case.as_transport_kwargs(base_url=urljoin(HERE, "../api"))
    headers = dict(kwargs["headers"] or {})
    if knows and case.method != "GET":
        headers["X-CSRF-Token"] = person.api_token()
    raw = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
    return person.ask(kwargs["method"], kwargs["url"], params=kwargs.get("params"), headers=raw)


@pytest.mark.full
@pytest.mark.ci
@pytest.mark.parametrize("label", REACHED)
def test_every_answer_is_in_the_document(place: Place, label: str) -> None:
    schema = schema_of(place)
    operations = {one.ok().label: one.ok() for one in schema.get_all_operations()}
    assert set(operations) == set(REACHED)
    statuses, numbers = Counter[int](), count()

    @settings(
        max_examples=25 if "s/{id}" in label or label == "GET /sessions" else 10,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operations[label]), knows=st.booleans(), names=st.booleans())
    def run(case: Case[Any], knows: bool, names: bool) -> None:
        user = f"u{next(numbers)}"  # so that what one example did is not met by the next
        person = place.person().login(user)
        if names and "id" in case.path_parameters:
            place.person(FIREFOX).login(user)
            listed = person.call("GET", "sessions").json()["sessions"]
            case.path_parameters["id"] = listed[1]["id"]
        answer = sent(person, case, knows=knows)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    run()
    assert set(statuses) >= REACHED[label], statuses
