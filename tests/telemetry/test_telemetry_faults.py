"""Telemetry that fails breaks no request, and says so once."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from telemetry_kit import Bench

from flow.flow_kit import FIREFOX, IDENTITY, SECRET, Site
from gatehound import Guard, Settings, SettingsError
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.telemetry import OpenTelemetry, Prometheus, Telemetry
from gatehound.telemetry.metric import METRICS
from gatehound.testing import FaultyStore

KEYS: dict[str, Any] = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": "memory://"}
METHODS = ("add", "observe", "put", "enter", "leave", "note")
ALL = tuple(name for name in METHODS if name != "leave")  # what was not entered is not left


class Broken(Telemetry):
    """Raises wherever it is told to."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.calls: list[str] = []

    def _run(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise RuntimeError(f"{name} of a test")

    def add(self, metric: Any, values: Any, by: int) -> None:
        self._run("add")

    def observe(self, metric: Any, values: Any, amount: float) -> None:
        self._run("observe")

    def put(self, metric: Any, amount: int) -> None:
        self._run("put")

    def enter(self, name: str, attributes: Mapping[str, str]) -> Any:
        self._run("enter")

    def leave(self, entered: Any, attributes: Any, error: str) -> None:
        self._run("leave")

    def note(self, signal: Any) -> None:
        self._run("note")


def story(site: Site, faulty: FaultyStore) -> list[Any]:
    """A sign-in, an unchanged request, one that is flagged, an outage, a sign-out."""
    browser = site.browser()
    browser.login()
    told: list[Any] = [browser.see().user_id]
    browser.agent = FIREFOX
    told.append(browser.see().action)
    faulty.go_down()
    told.append(browser.do(lambda visit: visit.client_ip).error)
    faulty.heal()
    told += [browser.see().user_id, browser.call("logout"), browser.see().user_id]
    return told


@pytest.mark.parametrize("broken", [*((name,) for name in METHODS), ALL], ids="-".join)
def test_no_request_notices(
    broken: tuple[str, ...],
    bench: Bench,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    make_site: Callable[..., Site],
) -> None:
    telemetry = Broken(*broken)
    faulty, plain = FaultyStore(store), FaultyStore(MemoryStore())
    site = bench.site(over=faulty, guard={"telemetry": [telemetry, *bench.telemetry]})
    told = story(site, faulty)
    assert told[0] == "alice"
    assert told == story(make_site(over=plain), plain)
    for name in broken:
        assert telemetry.calls.count(name) > 0
        logged = [one for one in caplog.records if f"Broken.{name} failed" in one.getMessage()]
        assert len(logged) == 1, name
        assert logged[0].levelno == logging.ERROR
        assert logged[0].exc_info is not None
    # Those beside it were told everything.
    assert bench.counted("gatehound.examine.duration", "live") == 4
    assert "gatehound.examine" in {span.name for span in bench.spans}


def test_what_is_not_overridden_is_not_called(make_guard: Callable[..., Guard]) -> None:
    class Quiet(Telemetry):
        """Hears of nothing."""

    guard = make_guard(guard={"telemetry": Quiet()})
    meters = guard.meters  # type: ignore[attr-defined]  # of a guard that is measured
    assert not meters.traces
    assert meters._add == meters._observe == meters._put == meters._note == ()
    meters.tell_store(is_down=True)
    one = Quiet()
    assert one.enter("x", {}) is None
    one.leave(None, {}, "")


@pytest.mark.parametrize("given", ["prometheus", 1, [Prometheus], [object()]])
def test_what_is_no_telemetry_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError, match=r"telemetry: .+ was given; allowed are"):
        Guard(KEYS, telemetry=given)


def test_an_empty_list_is_none() -> None:
    assert not hasattr(Guard(KEYS, telemetry=[]), "meters")


def test_a_registry_takes_several_guards(make_guard: Callable[..., Guard]) -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        site = Site("wsgi", make_guard(guard={"telemetry": Prometheus(registry)}))
        site.browser().see()
    assert (
        registry.get_sample_value("gatehound_examine_duration_seconds_count", {"outcome": "none"})
        == 2
    )


def test_a_name_of_ours_that_is_taken_is_told() -> None:
    registry = CollectorRegistry()
    Counter("gatehound_logins", "somebody else's", registry=registry)
    with pytest.raises(SettingsError, match=r"one of our names already .+\.CollectorRegistry\(\)"):
        Prometheus(registry)


def test_settings_switch_on_and_what_is_given_goes_first() -> None:
    def kinds(settings: dict[str, Any], given: Any = None) -> list[Any]:
        guard = Guard({**KEYS, "telemetry": settings}, telemetry=given, sinks=[])
        return list(guard.meters.telemetry)  # type: ignore[attr-defined]  # measured

    both = kinds({"opentelemetry": True, "prometheus": True})
    assert [type(one) for one in both] == [OpenTelemetry, Prometheus]
    mine = Prometheus(CollectorRegistry())
    assert kinds({"prometheus": True}, mine) == [mine]
    assert [type(one) for one in kinds({"opentelemetry": True}, [mine])] == [
        Prometheus,
        OpenTelemetry,
    ]


def test_settings_come_from_the_environment_too() -> None:
    environ = {
        "GATEHOUND_SECRET_KEYS": SECRET,
        "GATEHOUND_IDENTITY_KEY": IDENTITY,
        "GATEHOUND_TELEMETRY__PROMETHEUS": "true",
        "GATEHOUND_TELEMETRY__LOG": "json",
    }
    told = Settings.from_env(environ).telemetry
    assert (told.prometheus, told.opentelemetry, told.log) == (True, False, "json")
    with pytest.raises(SettingsError, match="TELEMETRY__LOG"):
        Settings.from_env({**environ, "GATEHOUND_TELEMETRY__LOG": "xml"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "module", "package", "extra"),
    [
        ("opentelemetry", "opentelemetry", "opentelemetry-api", "otel"),
        ("prometheus", "prometheus_client", "prometheus-client", "prometheus"),
    ],
)
def test_a_library_that_is_missing_is_named(
    setting: str, module: str, package: str, extra: str
) -> None:
    code = (
        f"import sys, logging; sys.modules[{module!r}] = None; logging.disable()\n"
        "from gatehound import Guard, SettingsError\n"
        f"try: Guard({{**{KEYS!r}, 'telemetry': {{{setting!r}: True}}}})\n"
        "except SettingsError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"telemetry.{setting}" in done.stdout
    assert f"{package} is not installed" in done.stdout
    assert f"pip install 'gatehound[{extra}]'" in done.stdout


def test_gauges_have_no_known_values() -> None:
    assert {metric.kind for metric in METRICS if metric.known} == {"counter", "histogram"}
