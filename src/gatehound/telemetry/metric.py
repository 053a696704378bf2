"""All that is measured: names, units and labels, in one table that every telemetry is built from.

Names follow the conventions of OpenTelemetry: dotted, the unit apart (UCUM, in braces where it is
a thing that is counted). Prometheus has the same names with underscores, the unit and `_total`, as
its bridge from OpenTelemetry would write them.

A label has few values that are known beforehand. User ids, addresses and session ids MUST NOT be
labels: each value is a series that is kept for ever, and readable by whoever reads the dashboards.
Append only: dashboards and alerts know these names.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from gatehound.detection.would import WAYS
from gatehound.events import NAMES
from gatehound.model import Action, EndReason

Values: TypeAlias = tuple[str, ...]

OTHER: Final = "other"  # what a label says where its value is none that is known
# Seconds. A request over memory takes 0.1 ms, over Redis 0.5 to 2, and one that is judged 1 to 5.
BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
OUTCOMES: Final = (
    "none",  # no cookie of ours
    "live",
    "graced",  # with the old secret of a routine rotation
    "ended",
    "superseded",
    "reused",
    "unknown",
    "forged",
    "outage",
    "stale",  # shown from memory in an outage
    "ignored",  # on ignore_paths
    "failed",  # an exception, or a cancelled request
)
ACTIONS: Final = {action: action.name.lower() for action in Action}
DONE: Final = "ok"  # the outcome of a store operation that has no error


class Metric(NamedTuple):
    """One thing that is measured.

    `labels` are those of Prometheus, `attributes` the same for OpenTelemetry. `known` are the
    values of the only label, where they are a closed list: such series are there from the start.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: Values = ()
    attributes: Values = ()
    known: Values = ()


# How many requests there were is the count of this histogram: a counter beside it would say the
# same, at the price of one more record a request.
EXAMINE: Final = Metric(
    "gatehound.examine.duration",
    "histogram",
    "s",
    "What examining a request took before the app was called, by what came of its cookie.",
    ("outcome",),
    ("gatehound.outcome",),
    OUTCOMES,
)
OPERATION: Final = Metric(
    "gatehound.store.operation.duration",
    "histogram",
    "s",
    "What an operation of the store took, as its caller saw it.",
    ("store", "operation", "outcome"),
    ("db.system.name", "db.operation.name", "error.type"),
)
DOWN: Final = Metric(
    "gatehound.store.down",
    "gauge",
    "1",
    "How many guards of this process have a store that does not answer: 1 or 0 where there is one.",
)
EVENTS: Final = Metric(
    "gatehound.events",
    "counter",
    "{event}",
    "Events by name, those too that a flood kept from being told one by one.",
    ("name",),
    ("gatehound.event",),
    tuple(NAMES),
)
LOGINS: Final = Metric(
    "gatehound.logins",
    "counter",
    "{login}",
    "Sign-ins by what came of them.",
    ("outcome",),
    ("gatehound.outcome",),
    ("succeeded", "failed", "refused"),
)
ENDED: Final = Metric(
    "gatehound.sessions.ended",
    "counter",
    "{session}",
    "Sessions that ended, by reason.",
    ("reason",),
    ("gatehound.reason",),
    tuple(reason.value for reason in EndReason),
)
JUDGEMENTS: Final = Metric(
    "gatehound.judgements",
    "counter",
    "{judgement}",
    "Requests and sign-ins that detectors looked at, by the action of the policy.",
    ("action",),
    ("gatehound.action",),
    tuple(ACTIONS.values()),
)
SIGNALS: Final = Metric(
    "gatehound.signals",
    "counter",
    "{signal}",
    "New findings of detectors, by detector and code.",
    ("detector", "code"),
    ("gatehound.detector", "gatehound.signal"),
)
WOULD: Final = Metric(
    "gatehound.would",
    "counter",
    "{session}",
    "Sessions that newly reached an action, whatever the mode did.",
    ("action",),
    ("gatehound.action",),
    WAYS,
)
METRICS: Final = (
    *(EXAMINE, OPERATION, DOWN, EVENTS),
    *(LOGINS, ENDED, JUDGEMENTS, SIGNALS, WOULD),
)
