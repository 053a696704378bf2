"""The figures of shards.py as pictures; needs matplotlib.

balance.png   the fullest shard over the mean, by scheme and number of shards
hot.png       the same by requests, for each Zipf law and robot
outage.png    what became of requests for the dead shard, by time
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from shards_outage import BIN

COLOURS: Final = ("#0b6e4f", "#d17a22", "#5b6c8f")
FATES: Final = ("answered", "refused at once", "refused after a wait")
DRAWN: Final = 10
"""Shards of the outages that are drawn; of others where there are none."""


def draw(result: dict[str, Any], folder: Path) -> None:
    """Write every picture."""
    mpl.use("Agg")
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    for name, make in (("balance", _balance), ("hot", _hot), ("outage", _outage)):
        figure = make(result)
        figure.savefig(folder / f"{name}.png", dpi=130, bbox_inches="tight")
        plt.close(figure)


def _balance(result: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.5))
    rows = result["balance"]
    counts = list(dict.fromkeys(row["shards"] for row in rows))
    schemes = list(dict.fromkeys(row["scheme"] for row in rows))
    for n, scheme in enumerate(schemes):
        skews = [row["users_skew"] for row in rows if row["scheme"] == scheme]
        places = [place + 0.27 * (n - 1) for place in range(len(counts))]
        bars = axes.bar(places, skews, 0.25, label=scheme, color=COLOURS[n])
        axes.bar_label(bars, fmt="%.2f", fontsize=7)
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_xticks(range(len(counts)), [f"{count} shards" for count in counts])
    axes.set_ylabel("users of the fullest shard / mean")
    axes.legend(frameon=False)
    return figure


def _hot(result: dict[str, Any]) -> Any:
    rows = result["hot"]
    counts = list(rows[0]["shards"])
    figure, panels = plt.subplots(1, len(counts), figsize=(3 * len(counts), 3.2), squeeze=False)
    for axes, count in zip(panels[0], counts, strict=True):
        for n, robot in enumerate(dict.fromkeys(row["robot"] for row in rows)):
            some = [row for row in rows if row["robot"] == robot]
            laws = [row["s"] for row in some]
            cells = [row["shards"][count] for row in some]
            ours = [cell["our tags"]["skew"] for cell in cells]
            apart = [cell["slot per user"]["skew"] for cell in cells]
            label = f"robot {robot:.0%}" if robot else "no robot"
            axes.plot(laws, ours, "o-", color=COLOURS[n], label=label)
            axes.plot(laws, apart, "x:", color=COLOURS[n], label=f"{label}, no buckets")
        axes.set_title(f"{count} shards")
        axes.set_xlabel("Zipf s")
        axes.set_ylim(bottom=0)
    panels[0][0].set_ylabel("requests of the busiest shard / mean")
    panels[0][0].legend(frameon=False, fontsize=7, loc="lower right")
    return figure


def _outage(result: dict[str, Any]) -> Any:
    rows = result["outage"]
    drawn = DRAWN if any(row["shards"] == DRAWN for row in rows) else rows[0]["shards"]
    rows = [r for r in rows if r["shards"] == drawn and r["threads"] == rows[0]["threads"]]
    timeouts = list(dict.fromkeys(row["timeout"] for row in rows))
    deaths = list(dict.fromkeys(row["death"] for row in rows))
    size = (4 * len(deaths), 2 * len(timeouts) + 0.8)
    figure, panels = plt.subplots(len(timeouts), len(deaths), figsize=size, squeeze=False)
    for row in rows:
        axes = panels[timeouts.index(row["timeout"])][deaths.index(row["death"])]
        times, *fates = zip(*row["timeline"][:-1], strict=True)  # the last bin is cut off
        rates = [[count / BIN for count in fate] for fate in fates]
        axes.stackplot(times, *rates, labels=FATES, colors=COLOURS, step="post")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.axvline(row["outage_s"], color="black", linewidth=0.8, linestyle="--")
        axes.set_title(f"{row['death']}, cluster-node-timeout {row['timeout']:g} s")
    for axes in panels[-1]:
        axes.set_xlabel("s after the death")
    for line in panels:
        line[0].set_ylabel("requests a second")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.tight_layout()
    figure.legend(
        handles, labels, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False
    )
    return figure
