"""What tests of the JSON API say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
from web_kit import Person, Place

MakePlace: TypeAlias = Callable[..., Place]


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which has to be a whole problem."""
    said = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["status"] == answer.status_code
    assert said["title"]
    assert said["detail"]
    assert None not in said.values()
    return answer.status_code, said["type"].removeprefix("urn:gatehound:")


def listed(person: Person, query: str = "") -> Any:
    answer = person.call("GET", f"sessions{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def ids(person: Person, query: str = "") -> list[str]:
    return [one["id"] for one in listed(person, query)["sessions"]]


def is_in(person: Person) -> bool:
    return person.call("GET", "token").status_code == 200
