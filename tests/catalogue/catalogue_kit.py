"""The stories' own words: a tale is one story as it runs, a person one browser in it.

Everything goes through the middleware, as a request and its response. What a request came to is a
step: the action that the app is shown, or the demand for a proof that it is spared. Steps belong
to the phase that `begin` opened last; those before the first are what leads up to the story.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalogue_looks import Look, chrome
from catalogue_world import v4

from flow.flow_kit import Browser, Result, Site, each
from gatehound import Action, Event
from gatehound.testing import FakeClock

HOME = v4("home")
STEP_UP_PAGE = "/again"


@dataclass(frozen=True)
class Step:
    """What one request came to; `user` is None where nobody was signed in."""

    action: Action
    score: float = 0.0
    codes: tuple[str, ...] = ()
    user: str | None = None
    address: str = ""
    activity: str = ""
    idle_expires: float = 0.0
    ended: str = ""

    def __str__(self) -> str:
        found = f" {', '.join(self.codes)}" if self.codes else ""
        return f"{self.action.name} {self.score:.2f}{found}"


def seen(visit: Any) -> Step:
    """A job: what the app is shown."""
    session, verdict = visit.session, visit.verdict
    return Step(
        action=verdict.action,
        score=verdict.score,
        codes=tuple(signal.code for signal in verdict.signals),
        user=visit.user_id,
        address=str(visit.client_ip.address),
        activity=visit.activity.value,
        idle_expires=session.idle_expires if session else 0.0,
        ended=visit.ended.reason.value if visit.ended else "",
    )


@dataclass
class Tale:
    """One story: its site, its time, what happened, and the files of its world."""

    site: Site
    clock: FakeClock
    events: list[Event]
    files: dict[str, Any]
    later: dict[str, Any]
    mode: str
    phases: list[list[Step]] = field(default_factory=lambda: [[]])
    aside: bool = True

    def begin(self) -> None:
        """Open a phase: from here on it is measured."""
        self.phases.append([])
        self.aside = False

    def lead_up(self) -> None:
        """Measure nothing until the next `begin`."""
        self.aside = True

    def wait(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        self.clock.advance(((days * 24 + hours) * 60 + minutes) * 60 + seconds)

    def note(self, step: Step) -> Step:
        self.phases[0 if self.aside else -1].append(step)
        return step

    def person(self, look: Look | None = None, address: str = HOME, user: str = "ada") -> Person:
        """Somebody with a browser of their own, who is not signed in yet."""
        look = look or chrome()
        return Person(self, look, self.site.browser(look.agent, address), user)

    def settled(
        self, look: Look | None = None, address: str = HOME, user: str = "ada", **options: Any
    ) -> Person:
        """Somebody who signed in two days ago and again now: their user's history is settled.

        `options` are those of the second login, which is remembered for two weeks by default.
        """
        self.lead_up()
        person = self.person(look, address, user)
        person.login(remember=True)
        self.wait(days=2)
        person.page("/")
        person.login(**{"remember": True, **options})
        self.wait(minutes=5)
        person.page("/")
        self.wait(minutes=5)
        return person

    def crowd(self, count: int, **options: Any) -> list[Person]:
        """Let as many users settle, each on a line of their own."""
        people = [
            self.person(address=v4("home", n % 8, 20 + n), user=f"user{n}", **options)
            for n in range(count)
        ]
        for person in people:
            person.login(remember=True)
        self.wait(days=2)
        for person in people:
            person.login(remember=True)
        self.wait(minutes=5)
        return people

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def replace_databases(self) -> None:
        """Put the files of a later day in place, as a program that fetches them does."""
        for name, path in self.later.items():
            if name.endswith("_database"):
                fresh = Path(self.files[name]).with_suffix(".new")
                shutil.copyfile(path, fresh)
                fresh.replace(self.files[name])
        assert self.site.guard.networks.refresh()


@dataclass
class Person:
    """One browser, and who sits before it."""

    tale: Tale
    look: Look
    browser: Browser
    user: str

    def move(self, address: str) -> Person:
        self.browser.address = address
        return self

    def use(self, look: Look) -> Person:
        self.look, self.browser.agent = look, look.agent
        return self

    def login(self, **options: Any) -> Step:
        """Sign in; the step is how the new session looks to the app."""
        job = each(lambda visit: visit.login(self.user, **options), seen)
        result = self._send(job, "/sign-in", "POST", self.look.headers("page"))
        assert result.error is None, result.error
        return self.tale.note(result.value[1])

    def logout(self) -> None:
        result = self._send(
            lambda visit: visit.logout(), "/logout", "POST", self.look.headers("page")
        )
        assert result.value is True

    def page(self, path: str = "/", **options: Any) -> Step:
        return self.send("page", path, **options)

    def fetch(self, path: str = "/api/list", **options: Any) -> Step:
        return self.send("fetch", path, **options)

    def send(
        self,
        kind: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        counted: bool = True,
    ) -> Step:
        """Send a request of a signed-in person; not `counted` where they may be nobody."""
        sent = {**self.look.headers(kind), **(headers or {})}
        result = self._send(seen, path, method, sent)
        step = self._step(result)
        if not counted:
            return step
        if step.user is None:  # a normal person who was signed out
            step = Step(Action.TERMINATE, ended=step.ended)
        return self.tale.note(step)

    def asked_on(self, path: str) -> bool:
        """True where a proof is asked for in the app's place; it is no step."""
        result = self._send(seen, path, "GET", self.look.headers("page"))
        if result.value is not None:
            return False
        # Where there is no page to give the proof on, the answer is a refusal.
        assert result.status == (303 if self.tale.mode == "step-up" else 401)
        return True

    def call(self, job: Callable[[Any], Any]) -> Any:
        """Run a job of the app in a POST, and return what it returned."""
        result = self._send(job, "/do", "POST", self.look.headers("page"))
        assert result.error is None, result.error
        return result.value

    def thief(self, look: Look | None = None, address: str = "") -> Person:
        """Somebody who has copied all of this browser's cookies; the look is cloned too if None."""
        look = look or self.look
        browser = self.tale.site.browser(look.agent, address or self.browser.address)
        browser.cookies = dict(self.browser.cookies)
        return Person(self.tale, look, browser, self.user)

    def _send(self, job: Any, path: str, method: str, headers: dict[str, str]) -> Result:
        return self.browser.do(job, path=path, method=method, headers=headers)

    def _step(self, result: Result) -> Step:
        if result.value is not None:
            step: Step = result.value
            return step
        assert result.error is None, result.error
        assert result.status in (303, 401), result.status  # the app was not called
        return Step(Action.STEP_UP, user=self.user)


def worst(steps: Iterable[Step]) -> Action:
    """The highest action of all steps; ALLOW for none."""
    return max((step.action for step in steps), default=Action.ALLOW)
