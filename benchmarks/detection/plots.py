"""The figures of simulate.py as pictures; needs matplotlib.

For each kind of run with attacks:

<run>-tradeoff.png   false positives against detection: a panel for each class of attack, a point
                     for each rule; the upper left corner is the best
<run>-personas.png   false positives of each rule by persona
<run>-attacks.png    what each rule detected by kind of attack, and what it has to
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from report import fp_of, groups_of, percent
from run import KINDS
from tally import OURS

STYLES: Final = {
    OURS: ("#0b6e4f", "o"),
    "any change of address": ("#b9b9b9", "s"),
    "concurrent countries": ("#d17a22", "^"),
    "strict binding": ("#7d7d7d", "D"),
    "impossible travel": ("#5b6c8f", "v"),
    "new ASN and unlike agent": ("#a23b72", "P"),
}
_COLUMNS: Final = 5
_APART: Final = 0.12  # of a line: rules with the same figure stand beside each other


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write every picture and return the files."""
    mpl.use("Agg")
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    files = []
    for kind, run in result["runs"].items():
        total = run["total"]
        if not total["attacks"]:
            continue
        for name, make in (("tradeoff", _tradeoff), ("personas", _personas), ("attacks", _attacks)):
            figure = make(kind, total)
            file = folder / f"{kind.replace(' ', '-')}-{name}.png"
            figure.savefig(file, dpi=130, bbox_inches="tight")
            plt.close(figure)
            files.append(file)
    return files


def _floor(total: dict[str, Any]) -> float:
    """Where a rule without a false positive is drawn: at half of one."""
    return 50.0 / max(1, int(total["session_days"]))


def _tradeoff(kind: str, total: dict[str, Any]) -> Any:
    groups = {name: row for name, row in groups_of(total).items() if row["count"]}
    lines = -(-len(groups) // _COLUMNS)
    size = (3 * _COLUMNS, 2.7 * lines)
    figure, grid = plt.subplots(lines, _COLUMNS, figsize=size, squeeze=False, sharex=True)
    panels = [axes for line in grid for axes in line]
    floor = _floor(total)
    for axes, (name, row) in zip(panels, groups.items(), strict=False):
        for rule, (colour, marker) in STYLES.items():
            share = percent(row["detected"][rule], row["count"])
            size_of = 70 if rule == OURS else 40
            place = max(floor, fp_of(total, rule))
            axes.scatter(place, share, size_of, colour, marker, label=rule, zorder=3)
        _frame(axes, f"{name} ({row['count']})", row["must"], _allowed(kind))
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel("detected, %")
    for axes in panels[max(0, len(groups) - _COLUMNS) : len(groups)]:
        axes.set_xlabel("false positives, % of session-days")
        axes.tick_params(labelbottom=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle(f"{kind}: the upper left is best; the shaded corner is what is required")
    figure.tight_layout()
    figure.legend(
        handles, labels, ncols=6, loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False
    )
    return figure


def _allowed(kind: str) -> float | None:
    """Return the false positives that a run may have, in percent; None: no limit."""
    most = KINDS[kind].fp
    return None if most is None else 100 * most


def _frame(axes: Any, title: str, must: float | None, allowed: float | None) -> None:
    axes.set_xscale("log")
    axes.set_ylim(-5, 105)
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.2)
    if must is not None and allowed is not None:
        left = axes.get_xlim()[0]
        axes.fill_between([left, allowed], 100 * must, 105, color="#0b6e4f", alpha=0.12)
        axes.set_xlim(left=left)


def _personas(kind: str, total: dict[str, Any]) -> Any:
    rows = total["personas"]
    names = sorted(rows, key=lambda name: -_share(rows[name], OURS))
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(names) + 1.2))
    for rule in STYLES:
        _dots(axes, rule, [_share(rows[name], rule) for name in names])
    allowed = _allowed(kind)
    if allowed is not None:
        axes.axvline(allowed, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xlim(-0.01, 130)
    axes.set_xticks([0, 0.1, 0.4, 1, 10, 100], ["0", "0.1", "0.4", "1", "10", "100"])
    axes.set_xlabel("false positives, % of session-days (the line: what all together may have)")
    labels = [f"{name} ({rows[name]['session_days']:,})" for name in names]
    _finish(axes, labels, f"{kind}: false positives by persona")
    return figure


def _share(row: dict[str, Any], rule: str) -> float:
    return percent(row["flagged"][rule], row["session_days"]) or 0.0


def _attacks(kind: str, total: dict[str, Any]) -> Any:
    rows = {name: row for name, row in total["attacks"].items() if row["count"]}
    names = list(rows)
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(names) + 1.2))
    for rule in STYLES:
        found = [percent(rows[name]["detected"][rule], rows[name]["count"]) or 0 for name in names]
        _dots(axes, rule, found)
    for place, name in enumerate(names):
        if rows[name]["must"] is not None:
            axes.plot([100 * rows[name]["must"]] * 2, [place - 0.4, place + 0.4], color="black")
    axes.set_xlim(-3, 103)
    axes.set_xlabel("detected within 25 requests, % (the bar: what is required)")
    _finish(axes, [f"{name} ({rows[name]['count']})" for name in names], f"{kind}: attacks")
    return figure


def _dots(axes: Any, rule: str, values: Sequence[float]) -> None:
    colour, marker = STYLES[rule]
    is_ours = rule == OURS
    shift = _APART * (list(STYLES).index(rule) - len(STYLES) / 2)
    axes.scatter(
        values,
        [place + shift for place in range(len(values))],
        70 if is_ours else 30,
        colour,
        marker,
        label=rule,
        zorder=4 if is_ours else 3,
        alpha=1.0 if is_ours else 0.8,
    )


def _finish(axes: Any, labels: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.2)
    axes.set_title(title)
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
