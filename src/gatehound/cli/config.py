"""Read a file of settings, for `--config`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from gatehound.cli.output import Unable


def load(config: Path, example: str) -> dict[str, Any]:
    """Read a .toml or .json file; Unable says why it cannot be, and shows `example`."""
    kind = config.suffix.lower()
    if kind not in (".toml", ".json"):
        raise Unable(
            f"--config: {str(config)!r} given; allowed are .toml and .json; name the file by "
            "what it holds"
        )
    try:
        text = config.read_text(encoding="utf-8")
        tree = tomllib.loads(text) if kind == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise Unable(f"--config: {str(config)!r} cannot be read: {error}") from None
    if not isinstance(tree, dict):
        raise Unable(f"--config: {str(config)!r} holds no object; write {example}")
    return tree
