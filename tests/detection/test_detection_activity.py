"""Which class a request has, by tables of what real clients send."""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import normpath
from typing import Any
from urllib.parse import unquote

import pytest
from detection_kit import FIXED, FakeRequest
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import Activities, ActivitySettings
from gatehound.detection.activity import SAFE_METHODS
from gatehound.detection.pattern import any_reading, matcher
from gatehound.errors import SettingsError
from gatehound.model import Activity

N, A, B, S, X = (
    Activity.NAVIGATE,
    Activity.ACTION,
    Activity.BACKGROUND,
    Activity.SPECULATIVE,
    Activity.ASSET,
)

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
XHR = {**FETCH, "X-Requested-With": "XMLHttpRequest"}


XHR_OF_OLD = {"Accept": "*/*", "X-Requested-With": "XMLHttpRequest"}
REST = {**FETCH, "Accept": "application/json, */*;q=0.1", "X-WP-Nonce": "x"}
BEACON = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
OLD_SAFARI = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class Asked(FakeRequest):
    query: str = ""


def asset(dest: str) -> dict[str, str]:
    return {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": dest}


TABLE: list[tuple[str, str, str, dict[str, str], Activity]] = [
    ("a page", "GET", "/", PAGE, N),
    ("a frame", "GET", "/", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, N),
    ("a form", "POST", "/save", PAGE, A),
    ("a form without metadata", "POST", "/save", {"Accept": "text/html"}, A),
    # WordPress
    ("dashboard", "GET", "/wp-admin/post.php", PAGE, N),
    ("heartbeat", "POST", "/wp-admin/admin-ajax.php", XHR, B),
    ("heartbeat below a path", "POST", "/blog/wp-admin/admin-ajax.php", XHR, B),
    ("heartbeat over plain HTTP", "POST", "/wp-admin/admin-ajax.php", {}, B),
    ("cron", "POST", "/wp-cron.php", {}, B),
    ("editor loads a block", "GET", "/wp-json/wp/v2/types", FETCH, B),
    ("editor autosaves", "POST", "/wp-json/wp/v2/posts/7/autosaves", FETCH, B),
    ("editor saves", "POST", "/wp-json/wp/v2/posts/7", FETCH, A),
    ("editor deletes", "DELETE", "/wp-json/wp/v2/posts/7", FETCH, A),
    ("editor asks what is allowed", "OPTIONS", "/wp-json/wp/v2/posts/7", REST, B),
    ("editor uploads", "POST", "/wp-json/wp/v2/media", REST, A),
    ("library uploads", "POST", "/wp-admin/async-upload.php", FETCH, A),
    ("overridden", "POST", "/wp-json/wp/v2/posts/7", {**REST, "X-HTTP-Method-Override": "PUT"}, A),
    ("editors in step", "POST", "/wp-json/wp-sync/v1/updates", REST, B),
    # htmx and pjax
    ("htmx polls", "GET", "/inbox", {**FETCH, "HX-Request": "true"}, B),
    ("htmx polls over HTTP", "GET", "/", {"HX-Request": "true", "Accept": "text/html"}, B),
    ("htmx follows a link", "GET", "/a", {**FETCH, "HX-Request": "true", "HX-Boosted": "true"}, N),
    ("htmx goes back", "GET", "/a", {**FETCH, "HX-History-Restore-Request": "true"}, N),
    ("htmx acts", "PUT", "/a", {**FETCH, "HX-Request": "true"}, A),
    ("htmx preloads", "GET", "/a", {**FETCH, "HX-Request": "true", "HX-Preloaded": "true"}, B),
    (
        *("htmx preloads a link", "GET", "/a"),
        {**FETCH, "HX-Request": "true", "HX-Boosted": "true", "HX-Preloaded": "true"},
        S,
    ),
    ("htmx acts on what it preloaded", "POST", "/a", {**FETCH, "HX-Preloaded": "true"}, A),
    ("pjax follows a link", "GET", "/a", {**XHR, "X-PJAX": "true"}, N),
    # single-page apps, streams
    ("fetch polls", "GET", "/api/news", FETCH, B),
    ("fetch, same origin", "GET", "/api", {**FETCH, "Sec-Fetch-Mode": "same-origin"}, B),
    ("fetch, no cors", "GET", "/api", {**FETCH, "Sec-Fetch-Mode": "no-cors"}, B),
    ("xhr over plain HTTP", "GET", "/", {"X-Requested-With": "x", "Accept": "text/html"}, B),
    ("event stream", "GET", "/events", {**FETCH, "Accept": "text/event-stream"}, B),
    ("event stream over HTTP", "GET", "/events", {"Accept": "text/event-stream"}, B),
    ("service worker script", "GET", "/sw.js", {"Service-Worker": "script", "Accept": "*/*"}, B),
    ("service worker", "GET", "/sw.js", asset("serviceworker"), B),
    ("socket.io polls", "POST", "/socket.io/", FETCH, B),
    ("page by service worker", "GET", "/", {**PAGE, "Sec-Fetch-Dest": "empty"}, N),
    ("page preloaded by it", "GET", "/", {**PAGE, "Service-Worker-Navigation-Preload": "true"}, N),
    (
        *("page preloaded by that of old Safari", "GET", "/"),
        {**OLD_SAFARI, "Service-Worker-Navigation-Preload": "true"},
        N,
    ),
    ("graphql", "POST", "/graphql", FETCH, A),
    (
        *("graphql of a client that says so", "POST", "/graphql"),
        {**FETCH, "Accept": "application/graphql-response+json"},
        A,
    ),
    ("persisted query", "GET", "/graphql", FETCH, B),
    ("a report", "POST", "/csp", {"Sec-Fetch-Dest": "report"}, B),
    ("a report of old", "POST", "/csp", {"Content-Type": "application/csp-report"}, B),
    ("reports", "POST", "/r", {"Content-Type": "application/reports+json; charset=utf-8"}, B),
    ("sendBeacon", "POST", "/seen", BEACON, B),
    ("sendBeacon of a form", "POST", "/seen", {**BEACON, "Content-Type": "multipart/form-data"}, B),
    ("ping of a link", "POST", "/ping", {**BEACON, "Ping-To": "https://app.example/"}, B),
    ("sendBeacon of JSON, as any fetch", "POST", "/seen", FETCH, A),
    ("a form in a frame", "POST", "/", {**PAGE, "Sec-Fetch-Dest": "iframe"}, A),
    # speculation
    ("prefetch", "GET", "/next", {**PAGE, "Sec-Purpose": "prefetch"}, S),
    ("prerender", "GET", "/next", {**PAGE, "Sec-Purpose": "prefetch;prerender"}, S),
    ("prefetch by Safari", "GET", "/next", {**PAGE, "Purpose": "prefetch"}, S),
    ("preview by Safari", "GET", "/next", {"Purpose": "preview", "Accept": "text/html"}, S),
    ("prefetch by old Firefox", "GET", "/next", {"X-Moz": "prefetch", "Accept": "text/html"}, S),
    ("prefetch by Turbo", "GET", "/next", {**FETCH, "X-Sec-Purpose": "prefetch"}, S),
    ("a write that says prefetch", "POST", "/pay", {**PAGE, "Sec-Purpose": "prefetch"}, A),
    ("another purpose", "GET", "/", {**PAGE, "Sec-Purpose": "unknown"}, N),
    # assets
    *(
        (f"asset {dest}", "GET", "/x", asset(dest), X)
        for dest in ("image", "style", "script", "font", "video", "audio", "track", "manifest")
    ),
    ("image without metadata", "GET", "/x.png", {"Accept": "image/avif,image/webp,*/*"}, X),
    ("style without metadata", "GET", "/x.css", {"Accept": "text/css,*/*;q=0.1"}, X),
    ("a write that says image", "POST", "/pay", asset("image"), A),
    # no metadata
    ("old browser", "GET", "/", {"Accept": "text/html,application/xhtml+xml"}, N),
    ("old Safari", "GET", "/", OLD_SAFARI, N),
    ("old Safari saves by fetch", "POST", "/save", {"Accept": "*/*"}, A),
    ("old Safari polls by fetch", "GET", "/news", {"Accept": "*/*"}, B),
    ("old Safari polls by jQuery", "GET", "/news", XHR_OF_OLD, B),
    (
        *("old Safari polls for HTML", "GET", "/news"),
        {**XHR_OF_OLD, "Accept": "text/html, */*; q=0.01"},
        B,
    ),
    ("page in an app", "GET", "/", {**OLD_SAFARI, "X-Requested-With": "com.example.app"}, N),
    ("fetch in an app", "GET", "/", {"Accept": "*/*", "X-Requested-With": "com.example.app"}, B),
    ("mobile app reads", "GET", "/api/me", {"Accept": "application/json"}, B),
    ("mobile app writes", "PATCH", "/api/me", {"Accept": "application/json"}, A),
    ("nothing at all", "GET", "/", {}, B),
    ("link checker", "HEAD", "/", {"Accept": "*/*"}, B),
    ("preflight", "OPTIONS", "/api", {"Sec-Fetch-Mode": "cors"}, B),
    ("trace", "TRACE", "/", {"Accept": "text/html"}, B),
    ("unknown method", "FROB", "/", {}, A),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_class_of_a_request(
    method: str, path: str, headers: dict[str, str], expected: Activity
) -> None:
    request = Asked(method=method, path=path, headers=headers)
    assert Activities().classify(request) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("rest_route=%2Fwp%2Fv2%2Fposts%2F5%2Fautosaves&_locale=user", B),
        ("_locale=user&rest_route=/wp/v2/posts/5/autosaves", B),
        ("rest_route=%2Fwp-sync%2Fv1%2Fupdates", B),
        ("rest_route=%2Fwp%2Fv2%2Fposts%2F5&_locale=user", A),
        ("rest_route=", A),
        ("interest_route=/wp/v2/posts/5/autosaves", A),
        ("", A),
    ],
)
def test_wordpress_without_permalinks(query: str, expected: Activity) -> None:
    request = Asked(method="POST", path="/index.php", query=query, headers=REST)
    assert Activities().classify(request) is expected
    assert Activities().classify(Asked(path="/index.php", query=query, headers=REST)) is B
    by_a_person = Activities(ActivitySettings(action_paths=("/wp-json/*",)))
    assert by_a_person.classify(request) is A


SETTINGS = ActivitySettings(
    background_paths=("POST /graphql/poll*", "/ping"),
    action_paths=("GET /reader/*",),
    header="X-Activity",
)
# What the libraries send where the app says nothing else.
NATIVE = {
    "okhttp": {"User-Agent": "okhttp/4.12.0", "Accept-Encoding": "gzip"},
    "CFNetwork": {"User-Agent": "Example/7 CFNetwork/1490.0.4 Darwin/23.2.0", "Accept": "*/*"},
    "Dart": {"User-Agent": "Dart/3.3 (dart:io)", "Accept-Encoding": "gzip"},
}


@pytest.mark.parametrize("headers", NATIVE.values(), ids=NATIVE)
def test_a_native_app_says_which_of_its_reads_are_a_persons(headers: dict[str, str]) -> None:
    activities = Activities(SETTINGS)
    assert activities.classify(Asked(path="/api/feed", headers=headers)) is B
    assert activities.classify(Asked("POST", "/api/like", headers)) is A
    reads = {**headers, "X-Activity": "navigate"}
    assert activities.classify(Asked(path="/api/feed", headers=reads)) is N
    refreshes = {**headers, "X-Activity": "background"}
    assert activities.classify(Asked("POST", "/api/token", refreshes)) is B


def test_websocket_is_background() -> None:
    handshake = FakeRequest(headers={"Accept": "text/html"}, websocket=True)
    assert Activities().classify(handshake) is B


CONFIGURED: list[tuple[str, str, str, dict[str, str], Activity]] = [
    ("path with a method", "POST", "/graphql/poll/1", FETCH, B),
    ("path with another method", "PUT", "/graphql/poll/1", FETCH, A),
    ("path of any method", "DELETE", "/ping", {}, B),
    ("a page that only polls", "GET", "/ping", PAGE, B),
    ("paths are whole", "POST", "/ping/x", {}, A),
    ("paths have a case", "POST", "/PING", {}, A),
    ("a read by a person", "GET", "/reader/12", FETCH, A),
    ("a prefetch of it", "GET", "/reader/12", {**PAGE, "Sec-Purpose": "prefetch"}, S),
    ("declared", "POST", "/graphql", {**FETCH, "X-Activity": " Background "}, B),
    ("declared navigation", "GET", "/api", {**FETCH, "X-Activity": "navigate"}, N),
    ("declared nonsense", "GET", "/", {**PAGE, "X-Activity": "admin"}, N),
    ("declared empty", "GET", "/", {**PAGE, "X-Activity": ""}, N),
    ("a write declared an asset", "POST", "/pay", {**PAGE, "X-Activity": "asset"}, A),
    ("a write declared speculative", "POST", "/pay", {**PAGE, "X-Activity": "speculative"}, A),
    ("a read declared an asset", "GET", "/x", {**PAGE, "X-Activity": "asset"}, X),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [row[1:] for row in CONFIGURED],
    ids=[row[0] for row in CONFIGURED],
)
def test_class_by_settings(
    method: str, path: str, headers: dict[str, str], expected: Activity
) -> None:
    request = Asked(method=method, path=path, headers=headers)
    assert Activities(SETTINGS).classify(request) is expected


def test_a_header_that_is_not_configured_is_not_read() -> None:
    request = Asked(method="POST", headers={"X-Activity": "background"})
    assert Activities().classify(request) is A


def test_callable_stands_or_leaves_the_request_to_the_rules() -> None:
    activities = Activities(override=lambda request: B if request.path == "/quiet" else None)
    assert activities.classify(FakeRequest(path="/quiet", headers=PAGE)) is B
    assert activities.classify(FakeRequest(path="/", headers=PAGE)) is N


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/" + "a" * 300), ("X" * 300, "/"), ("X" * 200, "/" + "a" * 200)]
)
def test_long_text_of_a_client_is_classified_and_not_kept(method: str, path: str) -> None:
    activities = Activities(ActivitySettings(background_paths=(f"{path[:9]}*",)))
    assert activities.classify(Asked(method=method, path=path)) is B
    assert activities._named.cache_info().currsize == 0


def test_a_wrong_pattern_is_no_matcher() -> None:
    with pytest.raises(ValueError, match="'poll' was given"):
        matcher(["poll"])


def test_wrong_settings_are_named_all_at_once() -> None:
    wrong = ActivitySettings(background_paths=("poll",), action_paths=("get /x",), header="a b")
    with pytest.raises(SettingsError) as caught:
        Activities(wrong)
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    for wrong_text in ("'poll'", "'get /x'", "'a b'"):
        assert wrong_text in text


NAMES = ["Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Purpose", "Accept", "X-Activity", "HX-Boosted"]
WORDS = st.sampled_from(
    ["navigate", "cors", "prefetch", "image", "text/html", "asset", "speculative", "true", "\xff"]
)


@pytest.mark.slow
@FIXED
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "X"]),
    headers=st.dictionaries(st.sampled_from(NAMES), WORDS | st.text(max_size=20)),
    path=st.text(max_size=30),
    query=st.text(max_size=20) | st.just("rest_route=/x/autosaves"),
)
def test_an_unsafe_method_is_never_taken_for_less(
    method: str, headers: dict[str, Any], path: str, query: str
) -> None:
    """Oracle: rule 3. Nothing is said of what a safe method may claim to be."""
    activity = Activities(SETTINGS).classify(Asked(method, path, headers, query=query))
    if method not in SAFE_METHODS:
        assert activity not in (S, X)


@FIXED
@given(
    path=st.lists(st.sampled_from(["pay", "x", "..", ".", "", "%2e%2e", "pay%2F"]), max_size=5).map(
        lambda parts: "/" + "/".join(parts)
    ),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_what_asks_for_more_matches_every_reading(path: str, method: str) -> None:
    """Oracle: the path as it is, and as posixpath joins it, for a HEAD as for a GET."""
    patterns = ["GET /pay", "/pay/*"]
    plain, found = matcher(patterns), any_reading(patterns)(method, path)
    assert found >= plain(method, path)
    read = "GET" if method == "HEAD" else method
    short = "/" + normpath(unquote(path)).lstrip("/")
    assert found >= plain(read, short)
    if unquote(path).endswith("/"):
        assert found >= plain(read, f"{short}/".replace("//", "/"))
    if "pay" not in path:
        assert not found
