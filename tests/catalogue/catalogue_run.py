"""Rows of the catalogue, and how each is told and measured.

A story is a function of a tale. Its decorator says which row it is, and what may or must come of
it; `ROWS` has them all. The outcome is in words, the same that docs/catalogue.md writes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from catalogue_kit import STEP_UP_PAGE, Step, Tale, worst

from flow.flow_kit import IDENTITY, SECRET, Site
from gatehound import Action, Event, Guard
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock

ALLOW, RECORD, FLAG = Action.ALLOW, Action.RECORD, Action.FLAG
NOTIFY, STEP_UP, TERMINATE = Action.NOTIFY, Action.STEP_UP, Action.TERMINATE
PREVENTED: Final = "prevented"
NOT_SEEN: Final = "not seen"
_SHOWN: Final = 4  # steps, in a message

Story: TypeAlias = Callable[[Tale], None]


@dataclass(frozen=True)
class Row:
    """One row: N for normal, A for an attack.

    `most` holds the highest action of each phase of a normal row. `least` maps a mode to the
    action that an attack has to reach in each phase; where it is empty, `word` says what comes of
    the attack instead, and the story asserts it.
    """

    number: str
    story: Story
    most: tuple[Action, ...] = ()
    least: dict[str, tuple[Action, ...]] = field(default_factory=dict)
    word: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def modes(self) -> tuple[str, ...]:
        return ("flag",) if self.number.startswith("N") else ("flag", "step-up")


ROWS: Final[list[Row]] = []


def normal(number: int, *most: Action, **settings: Any) -> Callable[[Story], Story]:
    """A behaviour that may come to `most`, a phase each."""

    def add(story: Story) -> Story:
        ROWS.append(Row(f"N{number}", story, most=most, settings=settings))
        return story

    return add


def attack(number: int, *least: tuple[Action, Action], **settings: Any) -> Callable[[Story], Story]:
    """An attack that has to reach an action in mode `flag` and one in `step-up`, for each phase."""

    def add(story: Story) -> Story:
        by_mode = {
            "flag": tuple(flag for flag, _ in least),
            "step-up": tuple(step_up for _, step_up in least),
        }
        ROWS.append(Row(f"A{number}", story, least=by_mode, settings=settings))
        return story

    return add


def answered(number: int, word: str, **settings: Any) -> Callable[[Story], Story]:
    """An attack that is `prevented`, or `not seen` by its evidence: the story asserts how."""

    def add(story: Story) -> Story:
        ROWS.append(Row(f"A{number}", story, word=word, settings=settings))
        return story

    return add


@dataclass(frozen=True)
class Outcome:
    """What a story came to: the steps of each phase, those before the first phase apart."""

    before: tuple[Step, ...]
    phases: tuple[tuple[Step, ...], ...]
    word: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(worst(phase) for phase in self.phases)

    @property
    def text(self) -> str:
        """The outcome in the words of the page: phases that came to the same are one."""
        if self.word:
            return self.word
        words = [action.name.lower().replace("_", " ") for action in self.actions]
        kept = [word for n, word in enumerate(words) if n == 0 or word != words[n - 1]]
        return ", then ".join(kept)

    def __str__(self) -> str:
        """The worst of each phase: at which step of how many, and what was found."""
        lines = [self.text]
        for number, phase in enumerate((self.before, *self.phases)):
            most = worst(phase)
            found = [f"{n}. {step}" for n, step in enumerate(phase, 1) if step.action == most]
            if most:
                shown = " | ".join(found[:_SHOWN])
                lines.append(f"phase {number}: {len(found)} of {len(phase)} steps: {shown}")
        return "\n".join(lines)


class Measure:
    """Tell a row's story, once for each adapter and mode, and remember what it came to."""

    def __init__(self, files: dict[str, Any], later: dict[str, Any]) -> None:
        self._files = files
        self._later = later
        self._done: dict[tuple[str, str, str], Outcome] = {}

    def __call__(self, row: Row, world: str = "asgi", mode: str = "flag") -> Outcome:
        key = row.number, world, mode
        if key not in self._done:
            self._done[key] = self._tell(row, world, mode)
        return self._done[key]

    def _tell(self, row: Row, world: str, mode: str) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            files = _copied(self._files, Path(folder))
            clock, events = FakeClock(), list[Event]()
            guard = Guard(
                _settings(files, mode, row.settings),
                store=MemoryStore(clock=clock),
                sinks=[events.append],
            )
            tale = Tale(Site(world, guard), clock, events, files, self._later, mode)
            row.story(tale)
        before, *phases = map(tuple, tale.phases)
        return Outcome(before, tuple(phases), row.word)


def _copied(files: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Give a story databases of its own: some replace them."""
    copies = dict(files)
    for name, path in files.items():
        if name.endswith("_database"):
            copies[name] = shutil.copy(path, folder)
    return copies


def _settings(files: dict[str, Any], mode: str, changes: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"secret_keys": [SECRET], "identity_key": IDENTITY}
    for name, values in {"detection": {**files, "mode": mode}, **changes}.items():
        settings[name] = {**settings.get(name, {}), **values}
    if mode == "step-up":
        settings["web"] = {"step_up_url": STEP_UP_PAGE, **settings.get("web", {})}
    return settings
