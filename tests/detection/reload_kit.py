"""What the tests of reloading share: a clock that stands, and files put in place whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detection_kit import write_database


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def city(path: Path, records: Any) -> str:
    """Put a database in place as geoipupdate does: a whole file, renamed over the old one."""
    new = path.with_suffix(".new")
    write_database(new, "GeoLite2-City", records)
    new.replace(path)
    return str(path)


def words(path: Path, text: str) -> str:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
    return str(path)
