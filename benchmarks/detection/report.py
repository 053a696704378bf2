"""The tables, and the requirements: what a run has to keep, and whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from run import KINDS
from tally import OURS

Result = dict[str, Any]
_MOST_REASONS: Final = 14
_SHORT: Final = {
    OURS: "gatehound",
    "any change of address": "any change",
    "concurrent countries": "countries",
    "strict binding": "binding",
    "impossible travel": "travel",
    "new ASN and unlike agent": "ASN+agent",
}


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    lines = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}\n")
    for line in lines:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join((first, *rest)).rstrip())


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def percent(part: int, whole: int) -> float | None:
    """Return a share in percent, None of nothing."""
    return 100 * part / whole if whole else None


def fp_of(total: Result, rule: str = OURS) -> float:
    """Return the false positives of a rule, in percent of session-days."""
    return percent(total["rules"][rule]["flagged"], total["session_days"]) or 0.0


def groups_of(total: Result) -> dict[str, Result]:
    """Add up the kinds of attack that meet a requirement together."""
    groups: dict[str, Result] = {}
    for row in total["attacks"].values():
        group = groups.setdefault(row["group"], {"must": row["must"], "count": 0, "detected": {}})
        group["count"] += row["count"]
        for name, count in row["detected"].items():
            group["detected"][name] = group["detected"].get(name, 0) + count
    return groups


def print_run(kind: str, run: Result) -> None:
    """Print all tables of one kind of run."""
    total, seeds = run["total"], run["seeds"]
    print(f"\n=== {kind}: {_summary(total, seeds)}")
    print_rules(kind, total, seeds)
    print_personas(kind, total)
    if total["reasons"]:
        print_reasons(kind, total)
    if total["attacks"]:
        print_attacks(kind, total)


def _summary(total: Result, seeds: Result) -> str:
    rate = total["requests"] / total["cpu_seconds"] if total["cpu_seconds"] else 0
    told = ", ".join(f"{name} {count}" for name, count in sorted(total["events"].items()))
    return (
        f"{total['users']:,} users, {total['session_days']:,} session-days, "
        f"{len(seeds)} seeds, {total['requests']:,} requests, {rate:,.0f} a second\n"
        f"    events: {told}"
    )


def print_rules(kind: str, total: Result, seeds: Result) -> None:
    """Print the false positives of every rule, and how far the seeds lie apart."""
    rows = []
    for name, row in total["rules"].items():
        each = [fp_of(one, name) for one in seeds.values()]
        hit = percent(row["users_hit"], total["users"])
        rows.append([name, fp_of(total, name), min(each), max(each), row["flagged"], hit])
    head = ("rule", "% of session-days", "least", "most", "count", "% of users hit")
    table(f"{kind}: false positives", head, rows)


def print_personas(kind: str, total: Result) -> None:
    """Print the false positives of each persona."""
    rules = list(total["rules"])
    rows = []
    for name, row in total["personas"].items():
        shares = [percent(row["flagged"][rule], row["session_days"]) for rule in rules]
        rows.append([name, row["users"], row["session_days"], *shares])
    head = ("persona", "users", "session-days", *(_SHORT[rule] for rule in rules))
    table(f"{kind}: false positives by persona, % of session-days", head, sorted(rows, key=str))


def print_reasons(kind: str, total: Result) -> None:
    """Print which signals made false positives, the most frequent first."""
    found = [
        (count, persona, codes)
        for persona, reasons in total["reasons"].items()
        for codes, count in reasons.items()
    ]
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    rows = [
        (persona, count, total["examples"].get(f"{persona}: {codes}", codes)[:200])
        for count, persona, codes in found[:_MOST_REASONS]
    ]
    print(f"\n{kind}: why, and one example of each\n")
    for persona, count, example in rows:
        print(f"{count:5}  {persona:20}  {example}")
    if len(found) > len(rows):
        print(f"       and {len(found) - len(rows)} more, in the JSON")


def print_attacks(kind: str, total: Result) -> None:
    """Print what was detected of each kind of attack."""
    rules = list(total["rules"])
    rows: list[list[object]] = []
    for name, row in total["attacks"].items():
        must = None if row["must"] is None else f"{100 * row['must']:.0f}"
        shares = [percent(row["detected"][rule], row["count"]) for rule in rules]
        median = round(statistics.median(row["requests"])) if row["requests"] else None
        rows.append(
            [name, row["count"], sum(row["void"].values()), must, shares[0], median, *shares[1:]]
        )
    first, *others = (_SHORT[rule] for rule in rules)
    head = ("attack", "count", "void", "must", first, "at request", *others)
    table(f"{kind}: detected within 25 requests, %", head, rows)


# --- requirements ---


def musts(runs: Result) -> Iterator[tuple[str, str, str, bool]]:
    """Return each requirement: the run, what it is, what was found, and whether it is met."""
    for name, run in runs.items():
        kind, total = KINDS[name], run["total"]
        if kind.fp is not None:
            found = fp_of(total)
            yield (
                name,
                f"at most {100 * kind.fp:g}% of session-days",
                f"{found:.3f}%",
                (found <= 100 * kind.fp),
            )
        if kind.hit is not None:
            hit = percent(total["rules"][OURS]["users_hit"], total["users"]) or 0.0
            yield (
                name,
                f"at most {100 * kind.hit:g}% of users hit",
                f"{hit:.2f}%",
                (hit <= 100 * kind.hit),
            )
        if kind.proxied:
            told = [one["events"].get("proxy_misconfigured", 0) for one in run["seeds"].values()]
            yield name, "one proxy_misconfigured", str(told), all(count == 1 for count in told)
        if kind.databases:
            yield from _detections(name, total)
            yield from _dominations(name, total)


def _detections(name: str, total: Result) -> Iterator[tuple[str, str, str, bool]]:
    for group, row in groups_of(total).items():
        if row["must"] is None:
            continue
        share = row["detected"][OURS] / max(1, row["count"])  # of no attacks none was detected
        what = f"{group}: at least {100 * row['must']:.0f}% detected"
        yield name, what, f"{100 * share:.1f}% of {row['count']}", share >= row["must"]


def _dominations(name: str, total: Result) -> Iterator[tuple[str, str, str, bool]]:
    """No rule has at most our false positives and detects as much of any class."""
    if not total["attacks"]:
        return
    ours = fp_of(total)
    found = [
        f"{rule} for {group}"
        for rule in total["rules"]
        if rule != OURS and fp_of(total, rule) <= ours
        for group, row in groups_of(total).items()
        if row["detected"][rule] >= row["detected"][OURS] and row["detected"][rule]
    ]
    yield name, "no rule is better in any class", "; ".join(found) or "none", not found


def print_musts(runs: Result) -> bool:
    """Print every requirement; True where all are met."""
    rows = list(musts(runs))
    print("\nrequirements\n")
    for run, what, found, met in rows:
        print(f"{'met' if met else 'NOT':4}{run:15}{what:50}{found}")
    return all(met for *_, met in rows)
