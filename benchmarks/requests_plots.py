"""Draw what requests.py found, as PNG files. Needs matplotlib, which nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from requests_figures import Row
from requests_growth import VARIED, GrowthRow
from requests_participants import BY_NAME

OURS: Final = "#1f6f8b"
OTHERS: Final = "#b9b9b9"
LIGHT: Final = 0.45


def plot(rows: Sequence[Row], folder: Path, wrong: Sequence[str] = ()) -> list[Path]:
    """Draw the added CPU and the latency for each number of clients; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for count in dict.fromkeys(row.clients for row in rows):
        at = [row for row in rows if row.clients == count and row.bare and row.name not in wrong]
        if at:
            files.append(plot_added(at, count, folder / f"added_{count}.png"))
            files.append(plot_latency(at, count, folder / f"latency_{count}.png"))
    return files


def plot_added(rows: Sequence[Row], clients: int, file: Path) -> Path:
    """Draw a bar of added CPU for each participant with sessions."""
    axes, save = bars(rows, f"CPU that sessions add to a request, {people(clients)}")
    values = [row.added_us or 0.0 for row in rows]
    drawn = axes.barh(range(len(rows)), values, color=colours(rows))
    axes.bar_label(drawn, [f"{value:.0f}" for value in values], padding=3, fontsize=8)
    axes.set_xlabel("microseconds over the bare app of the same server and framework, median")
    axes.margins(x=0.1)
    return save(file)


def plot_latency(rows: Sequence[Row], clients: int, file: Path) -> Path:
    """Draw p50 and p99 of the whole request for each participant with sessions."""
    axes, save = bars(rows, f"Latency of the whole request, {people(clients)}")
    places = range(len(rows))
    axes.barh(places, [row.p99_us / 1000 for row in rows], color=colours(rows), alpha=LIGHT)
    axes.barh(places, [row.p50_us / 1000 for row in rows], color=colours(rows))
    for place, row in zip(places, rows, strict=True):
        text = f" {row.p50_us / 1000:.1f} / {row.p99_us / 1000:.1f}"
        axes.text(row.p99_us / 1000, place, text, va="center", fontsize=8)
    axes.set_xlabel("milliseconds: p50 (full colour) and p99 (light), framework included")
    axes.margins(x=0.15)
    return save(file)


def colours(rows: Sequence[Row]) -> list[str]:
    """Tell gatehound from the others."""
    return [OURS if BY_NAME[row.name].is_ours else OTHERS for row in rows]


def people(clients: int) -> str:
    """Say how many clients."""
    return f"{clients} client{'s' if clients > 1 else ''}"


def bars(rows: Sequence[Row], title: str) -> tuple[Any, Callable[[Path], Path]]:
    """Make axes with a line for each participant, the first one on top."""
    figure, save = blank(10, 1.2 + 0.33 * len(rows))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return axes, save


def blank(width: float, height: float) -> tuple[Any, Callable[[Path], Path]]:
    """Make a figure that needs no screen, and what saves it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)

    def save(file: Path) -> Path:
        figure.savefig(file, dpi=120)
        return file

    return figure, save


def plot_growth(rows: Sequence[GrowthRow], folder: Path) -> list[Path]:
    """Draw what each thing that grows does to the added CPU and to p99."""
    folder.mkdir(parents=True, exist_ok=True)
    figure, save = blank(12, 6)
    panels = figure.subplots(2, len(VARIED), sharey="row")
    for column, (varied, label) in enumerate(VARIED.items()):
        at = sorted(
            (row for row in rows if varied in row.varies), key=lambda row: getattr(row, varied)
        )
        values = [getattr(row, varied) for row in at]
        draw(panels[0][column], values, [row.added_us for row in at])
        draw(panels[1][column], values, [row.p99_us / 1000 for row in at])
        panels[1][column].set_xlabel(label)
    panels[0][0].set_ylim(0, 1.1 * max(row.added_us for row in rows))
    panels[1][0].set_ylim(0, 1.1 * max(row.p99_us for row in rows) / 1000)
    panels[0][0].set_ylabel("added CPU, microseconds")
    panels[1][0].set_ylabel("p99, milliseconds")
    figure.suptitle("gatehound on ASGI and Redis: one thing grows, the others stay")
    return [save(folder / "growth.png")]


def draw(axes: Any, values: Sequence[int], figures: Sequence[float]) -> None:
    """Draw one line over a logarithmic axis with the measured values on it."""
    axes.plot(values, figures, marker="o", color=OURS)
    axes.set_xscale("log")
    axes.set_xticks(values, [short(value) for value in values])
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.3)


def short(value: int) -> str:
    """Write 1000000 as 1M and 1000 as 1k."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size and value % size == 0:
            return f"{value // size}{letter}"
    return str(value)
