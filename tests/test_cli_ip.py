"""`gatehound ip`: what is read, what is printed, which code it exits with, and what is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gatehound.cli.commands import gatehound as command
from gatehound.cli.ip import ip
from gatehound.cli.output import fold
from gatehound.clientip import cloudflare

# The package re-exports the command under the module's own name.
refresh_module = import_module("gatehound.cli.ip.refresh")

PAGE = (Path(__file__).parent.parent / "docs/reference/commands.md").read_text(encoding="utf-8")
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
XFF = "X-Forwarded-For: 203.0.113.7"
BEHIND_NGINX = ("-o", "mode=nginx", "-o", "trusted_proxies=10.0.0.0/16,unix")
SECRET = "a-secret-of-the-edge-1"

V4, V6 = ["198.41.128.0/17", "131.0.72.0/22"], ["2606:4700::/32", "2400:cb00::/32"]
NEW = "162.158.0.0/15"
PUBLISHED = "2026-07-02"


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder of its own, a terminal of 80 columns, no options, and a list that never ages."""
    for name in [name for name in os.environ if name.startswith("GATEHOUND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    bundled = cloudflare.Ranges((*V4, *V6), PUBLISHED)
    monkeypatch.setattr(cloudflare, "BUNDLED", bundled)
    monkeypatch.setattr(cloudflare, "MAX_AGE_DAYS", 10**6)
    monkeypatch.setattr(cloudflare, "_warned", {})
    umask = os.umask(0o022)
    yield
    os.umask(umask)


def run(*words: str, stdin: bytes | None = None, code: int | None = None) -> Result:
    result = CliRunner().invoke(command, ["ip", *words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    if code is not None:
        assert result.exit_code == code, result.output
    return result


def flat(text: str) -> str:
    """The words of a text that was folded."""
    return " ".join(text.split())


def refused(*words: str, stdin: bytes | None = None) -> str:
    result = run(*words, stdin=stdin, code=2)
    assert result.stdout == ""
    return flat(result.stderr)


# --- explain ---

EXPLAINED: list[tuple[tuple[str, ...], int, str]] = [
    (("--peer", "10.0.0.1", "--header", XFF), 0, "203.0.113.7: reason client"),
    (("--peer", "unix", "--header", XFF), 0, "203.0.113.7: reason client"),
    (("--peer", "", "--header", XFF), 0, "203.0.113.7: reason client"),
    (("--peer", "10.0.0.1"), 1, "unresolved: reason header-missing, source x-forwarded-for"),
    (("--peer", "192.0.2.9", "--header", XFF), 0, "192.0.2.9: reason peer-not-trusted"),
    (("--peer", "nobody", "--header", XFF), 1, "unresolved: reason malformed-peer, source peer"),
    (
        ("--peer", "10.0.0.1", "--header", XFF, "--header", "x-forwarded-for:198.51.100.1"),
        0,
        "198.51.100.1: reason client, source x-forwarded-for[-1], no flags.",
    ),
    (
        ("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 10.0.2.3"),
        0,
        "10.0.2.3: reason all-trusted, source x-forwarded-for[-1], flags all-trusted.",
    ),
    (("--peer", "10.0.0.1", "--header", "X-Forwarded-For: évil"), 1, "reason malformed-hop"),
]


@pytest.mark.parametrize(("words", "code", "says"), EXPLAINED)
def test_explain_begins_with_the_answer(words: tuple[str, ...], code: int, says: str) -> None:
    first, trace, *_ = run("explain", *BEHIND_NGINX, *words, code=code).stdout.split("\n\n")
    assert flat(first).startswith("The client is ")
    assert says in flat(first)
    assert trace.startswith("mode nginx (x-forwarded-for)\npeer '")


def test_explain_as_json() -> None:
    words = ("--peer", "10.0.0.1", "--header", 'Forwarded: for="[2001:db8::7]:80";proto=https')
    options = ("-o", "mode=forwarded", "-o", "trusted_proxies=10.0.0.1")
    tree = json.loads(run("explain", *options, *words, "--json", code=0).stdout)
    trace = tree.pop("trace")
    assert tree == {
        "address": "2001:db8::7",
        "text": "2001:db8::7",
        "reason": "client",
        "source": "forwarded[-1].for",
        "flags": [],
        "peer": "10.0.0.1",
        "scheme": "https",
        "host": None,
        "read": [{"name": "forwarded", "text": 'for="[2001:db8::7]:80";proto=https'}],
        "findings": [],
    }
    assert trace[0] == "mode forwarded"


def test_explain_tells_of_a_header_that_was_not_read() -> None:
    words = ("explain", "--peer", "192.0.2.9", "--header", XFF)
    result = run(*words, code=0)
    findings = json.loads(run(*words, "--json", code=0).stdout)["findings"]
    assert [(one["level"], one["code"]) for one in findings] == [("note", "header-ignored")]
    answer, trace, told = result.stdout.split("\n\n")
    assert (answer, trace.partition("\n")[0]) == (
        "The client is 192.0.2.9: reason direct, source peer, no flags.",
        "mode remote-addr",
    )
    assert flat(told).startswith("note: The peer 192.0.2.9 sent x-forwarded-for, which was not")
    assert run("check", *words[1:]).stdout.endswith(f"\n\n{told}")


def test_explain_leaves_what_the_options_deserve_to_check() -> None:
    for options, codes in ((EVERYONE, []), (WIDE, ["header-ignored"])):
        words = (*options, "--peer", "192.0.2.9", "--header", XFF)
        result = run("explain", *words, "--json", code=0)
        assert [one["code"] for one in json.loads(result.stdout)["findings"]] == codes
        assert "trust-" in run("check", *words).stdout
        assert "trust-" not in run("explain", *words).stdout


def test_a_danger_of_the_request_leaves_the_exit_code_of_explain_alone() -> None:
    result = run("explain", "--peer", "192.0.2.9", "--header", "X-Real-IP: 192.0.2.9", code=0)
    assert "\n\ndanger: The peer 192.0.2.9 also stands in a header" in result.stdout


@pytest.mark.parametrize(("peer", "told"), [("unix", "unix"), ("nobody", None)])
def test_unresolved_as_json(peer: str, told: str | None) -> None:
    tree = json.loads(run("explain", "--peer", peer, "--json", code=1).stdout)
    assert (tree["address"], tree["text"], tree["peer"]) == (None, "", told)


def test_keys_of_json_are_those_of_the_page() -> None:
    Path("list").write_text("\n".join((*V4, *V6)))
    for words in (("explain", "--peer", "unix"), ("check",), ("refresh", "list")):
        keys = json.loads(run(*words, "--json").stdout).keys()
        text = PAGE.partition(f"### `gatehound ip {words[0]}`")[2].partition("\n#")[0]
        cells = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        assert keys == {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


HOSTILE = [
    b"\x1b[2J\x1b]0;owned\x07",
    "\u202e7.113.0.302".encode(),
    b"\xff\xfe\x9b31m",
    b"x" * 9000,
    b"answer 6.6.6.6: client," + b" " * 40 + b"answer 6.6.6.6: client",
    b"'; answer 6.6.6.6" + b" " * 47 + b"'",
    b'"\\' * 40,
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_a_stranger_sent_is_shown_and_not_obeyed(value: bytes, form: tuple[str, ...]) -> None:
    lines = b"X-Forwarded-For: " + value + b"\nForwarded: for=" + value
    options = ("-o", "mode=auto", "-o", "trusted_proxies=10.0.0.1", *form)
    result = run(
        "explain", *options, "--peer", "10.0.0.1", "--headers-file", "-", stdin=lines, code=1
    )
    assert re.fullmatch(r"[\x20-\x7e\n]+", result.stdout)
    if not form:
        assert not re.search("^answer 6", result.stdout, re.MULTILINE)
        assert max(map(len, result.stdout.split("\n"))) <= 80


@pytest.mark.parametrize(
    "pasted",
    [
        f"{XFF}\nHost: example.org",
        f"\r\n  GET /a?b HTTP/1.1\r\n  Host: example.org\r\n\r\n  {XFF}  \r\n",
        f"* Connected to example.org\n> GET / HTTP/2\n> {XFF}\n>\n< HTTP/2 200\n< {XFF}1\n{{ [5",
        f":method: GET\n:path: /\n{XFF}",
    ],
)
def test_headers_as_people_paste_them(pasted: str) -> None:
    Path("request").write_text(pasted)
    for given, stdin in (("request", None), ("-", pasted.encode())):
        words = (*BEHIND_NGINX, "--peer", "10.0.0.1", "--headers-file", given)
        assert "203.0.113.7: reason client" in run("explain", *words, stdin=stdin, code=0).stdout


def test_pasted_headers_come_after_those_of_the_command_line() -> None:
    words = ("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 198.51.100.1")
    result = run("explain", *BEHIND_NGINX, *words, "--headers-file", "-", stdin=XFF.encode())
    assert "The client is 203.0.113.7" in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Missing option '--peer'"),
        (("--peer", "::1", "--header", "X-Real-IP"), "--header: 'X-Real-IP' given; allowed is"),
        (("--peer", "::1", "--header", "X Y: z"), "the name has no blanks in or after it"),
        (("--peer", "::1", "--header", "Host : z"), "'Host : z' given"),
        (("--peer", "::1", "--header", ": z"), "': z' given"),
        (("--peer", "::1", "--header", "A: b\nC: d"), r"'A: b\nC: d' given; allowed is"),
        (("--peer", "::1", "--header", "\x1b[2J"), r"'\x1b[2J' given"),
        (("--peer", "::1", "--headers-file", "none"), "No such file"),
        (("--peer", "::1", "--headers-file", "-"), "--headers-file, line 3: 'nonsense' given"),
    ],
)
def test_explain_refuses_what_is_no_request(words: tuple[str, ...], says: str) -> None:
    assert says in refused("explain", *words, stdin=b"A: b\n\nnonsense")


def test_explain_tells_of_an_old_list_beside_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudflare, "MAX_AGE_DAYS", 30)
    result = run("explain", "-o", "mode=cloudflare", "--peer", "192.0.2.1", "--json", code=0)
    assert json.loads(result.stdout)["reason"] == "peer-not-trusted"
    assert "Warning: The list of Cloudflare's ranges is of 2026-07-02" in flat(result.stderr)


# --- where the options come from ---

FILES = [
    ("a.toml", '[client_ip]\nmode = "x-forwarded-for"\ntrusted_proxies = ["10.0.0.1"]'),
    ("a.TOML", 'store = 7\nclient_ip = {mode = "x-forwarded-for", trusted_proxies = "10.0.0.1"}'),
    ("a.toml", 'mode = "x-forwarded-for"\ntrusted_proxies = ["10.0.0.1"]'),
    ("a.json", '{"client_ip": {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.1"]}}'),
    ("a.json", '{"mode": "x-forwarded-for", "trusted_proxies": "10.0.0.1"}'),
]


@pytest.mark.parametrize(("name", "text"), FILES)
def test_options_from_a_file(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv("GATEHOUND_CLIENT_IP__PEER_PORT", "yes")  # left out: the file alone counts
    Path(name).write_text(text)
    tree = json.loads(run("check", "--config", name, "--json", code=0).stdout)
    assert tree["mode"] == "x-forwarded-for"
    assert tree["trusted_proxies"] == ["10.0.0.1/32"]
    assert tree["options"] == {}


def test_an_empty_group_stands_for_the_defaults() -> None:
    Path("a.toml").write_text("[client_ip]")
    assert run("check", "--config", "a.toml", code=0).stdout == (
        "mode: remote-addr\ntrusted_proxies: nobody\n\nNothing to say.\n"
    )


def test_profiles_lie_under_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_STORE", "no such store")
    monkeypatch.setenv("GATEHOUND_PROFILE", "shop, behind-cdn")
    assert json.loads(run("check", "--json", code=0).stdout)["mode"] == "cloudflare"
    assert "mode cloudflare" in run("explain", "--peer", V4[0].partition("/")[0]).stdout
    assert "mode: remote-addr" in run("check", "-o", "mode=remote-addr", code=0).stdout
    monkeypatch.setenv("GATEHOUND_CLIENT_IP__MODE", "remote-addr")
    assert "mode: remote-addr" in run("check", code=0).stdout
    monkeypatch.setenv("GATEHOUND_PROFILE", "behind-cnd")
    assert "GATEHOUND_PROFILE" in refused("check")
    assert "behind-cdn" in refused("check")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ('profile = ["behind-cdn"]\nstore = "no such store"', "cloudflare"),
        ('profile = "shop"', "remote-addr"),
        ('profile = ["behind-cdn"]\n[client_ip]\nmode = "remote-addr"', "remote-addr"),
        ('profile = ["behind-cdn"]\n[client_ip]\npeer_port = true', "cloudflare"),
    ],
)
def test_a_whole_tree_may_have_a_profile_and_no_client_ip(text: str, mode: str) -> None:
    Path("a.toml").write_text(text)
    assert f"mode: {mode}\n" in run("check", "--config", "a.toml", code=0).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('profile = ["nobody"]', "profile"),
        ("profile = 3", "profile: 3 given"),
        ('profile = "shop"\nmode = "nginx"', "mode given beside profile; only what is in"),
    ],
)
def test_a_profile_that_is_none(text: str, says: str) -> None:
    Path("a.toml").write_text(text)
    assert says in refused("check", "--config", "a.toml")


def test_what_is_unresolved_has_a_fix_that_is_no_cause() -> None:
    words = ("-o", "mode=nginx", "-o", "trusted_proxies=10.0.0.0/16", "--peer", "unix")
    out = " ".join(run("explain", *words, code=1).stdout.split())
    assert "the peer is a unix socket. (unresolved) Fix: add 'unix' to trusted_proxies" in out


UNRELATED = [
    ("", "the file holds nothing, and no client_ip; write the table [client_ip] with any of mode,"),
    ('store = "memory://"\n[session]\nmax_per_user = 1', "holds 'session', 'store', and no"),
    ("a = 1\nb = 1\nc = 1\nd = 1", "the file holds 'a', 'b', 'c', and no client_ip; write the"),
    ('[client-ip]\nmode = "nginx"', "write client_ip in the place of 'client-ip'"),
    ("a = 1\nb = 1\nbb = 1\n[ClientIP]", "write client_ip in the place of 'ClientIP'"),
    ('store = "memory://"\n[clientip]', "write client_ip in the place of 'clientip'"),
    ('Trusted-Proxy = "::1"', "write trusted_proxies in the place of 'Trusted-Proxy'"),
    ('mode = "nginx"\n[client_ip]\nhops = 1', "mode given beside client_ip; only what is in"),
    ('mode = "nginx"\nhops = 1\n[client_ip]', "hops, mode given beside client_ip; only"),
]


@pytest.mark.parametrize(("text", "says"), UNRELATED)
def test_a_file_that_would_be_read_past_is_refused(text: str, says: str) -> None:
    Path("a.toml").write_text(text)
    assert says in refused("check", "--config", "a.toml")


def test_options_from_the_environment_and_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_CLIENT_IP__MODE", "x-forwarded-for")
    monkeypatch.setenv("GATEHOUND_CLIENT_IP__TRUSTED_PROXIES", "10.0.0.0/16, unix")
    monkeypatch.setenv("GATEHOUND_CLIENT_IP__HOPS", "2")
    monkeypatch.setenv("GATEHOUND_STORE", "no such store")  # another setting is not looked at
    tree = json.loads(run("check", "--json", code=0).stdout)
    assert (tree["trusted_proxies"], tree["options"]) == (["10.0.0.0/16", "unix"], {"hops": 2})
    over = ("-o", "hops=", "--option", "trusted_proxies=192.0.2.1", "-o", "peer_port=yes")
    tree = json.loads(run("check", *over, "--json", code=0).stdout)
    assert tree["trusted_proxies"] == ["192.0.2.1/32"]
    assert tree["options"] == {"peer_port": True}


REFUSED: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("-o", "mode"), ("-o: 'mode' given; allowed is NAME=VALUE",)),
    (("-o", "mode=auto", "-o", "mode=auto"), ("-o: 'mode' is given twice",)),
    (("-o", "Trusted-Proxy=::1"), ("did you mean trusted_proxies? Allowed: mode,",)),
    (("-o", "qqq=1"), ("-o 'qqq': there is no such option; leave it out.",)),
    (("-o", "peer_port=maybe"), ("-o peer_port: 'maybe' given; allowed is true or false",)),
    (("-o", "mode=ngnix"), ("mode: 'ngnix' is not known; did you mean 'nginx'?",)),
    (("-o", "mode=x-forwarded-for"), ("given without client_ip.trusted_proxies",)),
    (("-o", "trusted_proxies=10.0.0.1"), ("remote-addr reads no header",)),
    (
        ("-o", "hops=two", "-o", "mode=auto", "-o", "trusted_proxies=*", "-o", "header=a_b"),
        ("Error: 3 problems", "hops: 'two'", "covers 0.0.0.0/0", "header: 'a_b' is given"),
    ),
    (("--config", "none.toml"), ("File 'none.toml' does not exist",)),
    (("--config", "a.yaml"), ("'a.yaml' given; allowed are .toml and .json",)),
    (("--config", "broken.toml"), ("'broken.toml' cannot be read:",)),
    (("--config", "broken.json"), ("'broken.json' cannot be read:",)),
    (("--config", "binary.json"), ("'binary.json' cannot be read:",)),
    (("--config", "list.json"), ("'list.json' holds no object",)),
    (
        ("--config", "typo.json"),
        ("the file holds 'mdoe', and no client_ip; write mode in the place of 'mdoe'",),
    ),
    (("--config", "inside.json"), ("client_ip.mdoe: there is no such setting; did you mean",)),
    (("--config", "control.json"), (r"the file holds '\x1b[2J', and no client_ip",)),
    (("--config", "hidden.json"), (r"client_ip.\x1b[2J: there is no such setting",)),
    (("--config", "text.json"), ("client_ip: 'nginx' given; allowed is a group",)),
]

BROKEN = {
    "a.yaml": b"",
    "broken.toml": b"mode =",
    "broken.json": b"{",
    "binary.json": b"\xff",
    "list.json": b"[1]",
    "typo.json": b'{"mdoe": "nginx"}',
    "control.json": b'{"\\u001b[2J": 1}',
    "inside.json": b'{"client_ip": {"mdoe": "nginx"}}',
    "hidden.json": b'{"client_ip": {"\\u001b[2J": 1}}',
    "text.json": b'{"client_ip": "nginx"}',
}


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_options_are_refused_as_the_guard_refuses_them(
    words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    for name, content in BROKEN.items():
        Path(name).write_bytes(content)
    told = refused("check", *words)
    assert told == refused("explain", "--peer", "::1", *words).replace(" explain", " check")
    assert [one for one in says if one not in told] == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GATEHOUND_CLIENT_IP__HOPS", "two", "GATEHOUND_CLIENT_IP__HOPS: 'two' given"),
        ("GATEHOUND_CLIENT_IP__MDOE", "a", "did you mean GATEHOUND_CLIENT_IP__MODE?"),
        ("GATEHOUND_CLIENT_IP", "a", "Error: GATEHOUND_CLIENT_IP: 'a' given; allowed is a group"),
        (
            "GATEHOUND_CLIENT_IP_MODE",
            "nginx",
            "Error: GATEHOUND_CLIENT_IP_MODE: there is no such setting; write GATEHOUND_",
        ),
        ("GATEHOUND_CLIENTIP__MODE", "nginx", "GATEHOUND_CLIENTIP__MODE: there is no such"),
        ("GATEHOUND_CLIENT", "nginx", "GATEHOUND_CLIENT: there is no such setting"),
    ],
)
def test_a_wrong_environment_is_named_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    assert says in refused("check")


@pytest.mark.parametrize("name", ["GATEHOUND_CLIENT_IP_MODE", "GATEHOUND_CLIENT_IP__MODE"])
def test_a_variable_without_a_value_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    assert run("check", code=0).stdout.startswith("mode: remote-addr\n")


def test_a_stray_variable_is_not_looked_at_beside_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUND_CLIENT_IP_MODE", "nginx")
    Path("a.toml").write_text('mode = "remote-addr"')
    run("check", "--config", "a.toml", code=0)
    assert "GATEHOUND_CLIENT_IP_MODE" in refused("check", "-o", "mode=remote-addr")


def test_each_problem_begins_a_line_of_its_own() -> None:
    result = run("check", "-o", "mode=ngnix", "-o", "hops=two", code=2)
    head, *lines = result.stderr.splitlines()
    assert head == "Error: 2 problems in the settings:"
    assert [line[:4] for line in lines if not line.startswith("      ")] == ["  - "] * 2
    assert max(map(len, lines)) <= 80


# --- check ---


def test_check_shows_what_holds_and_no_secret() -> None:
    options = (
        *("-o", "mode=aws-cloudfront", "-o", "trusted_proxies=10.1.0.0/17,10.1.128.0/17,unix"),
        *("-o", f"edge_secret=X-Edge-Key,{SECRET},{SECRET}2", "-o", "trust_everyone=no"),
        *("-o", "peer_port=on", "-o", "on_all_trusted=unresolved"),
    )
    text, as_json = (run("check", *options, *form, code=0).stdout for form in ((), ("--json",)))
    assert text.startswith("mode: aws-cloudfront (preset of Amazon CloudFront: mode ")
    assert "trusted_proxies: 10.1.0.0/16, unix\n" in text
    assert "edge_secret: X-Edge-Key, ...\n" in text
    assert "on_all_trusted: unresolved\n" in text
    assert "peer_port: true\n" in text
    assert json.loads(as_json)["options"]["edge_secret"] == ["X-Edge-Key", "..."]
    assert SECRET not in text + as_json


EVERYONE = ("-o", "mode=x-forwarded-for", "-o", "trust_everyone=yes")
WIDE = ("-o", "mode=x-forwarded-for", "-o", "trusted_proxies=8.0.0.0/8")
COUNTED = ("-o", "mode=x-forwarded-for", "-o", "trusted_proxies=10.0.0.1", "-o", "hops=1")

LEVELS = [
    ((), None, {}),
    (COUNTED, "note", {"note": 1}),
    (WIDE, "warning", {"note": 1, "warning": 1}),
    (EVERYONE, "danger", {"note": 1, "warning": 1, "danger": 1, None: 1}),
]


@pytest.mark.parametrize(("options", "level", "codes"), LEVELS)
@pytest.mark.parametrize("fail_on", [None, "note", "warning", "danger"])
def test_check_exits_as_bad_as_it_is(
    options: tuple[str, ...], level: str | None, codes: dict[str | None, int], fail_on: str | None
) -> None:
    words = () if fail_on is None else ("--fail-on", fail_on)
    result = run("check", *options, *words, code=codes.get(fail_on, 0))
    findings = json.loads(run("check", *options, *words, "--json").stdout)["findings"]
    assert [one["level"] for one in findings] == ([level] if level else [])
    assert ("Nothing to say." in result.stdout) == (level is None)
    for one in findings:
        assert set(one) == {"level", "code", "text", "fix"}
        assert f"{level}: {one['text']} ({one['code']})" in flat(result.stdout)
        assert f"Fix: {one['fix']}." in flat(result.stdout)


def codes_of(*words: str) -> list[str]:
    tree: dict[str, Any] = json.loads(run("check", *BEHIND_NGINX, *words, "--json").stdout)
    return [one["code"] for one in tree["findings"]]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("--peer", "10.0.0.1", "--header", XFF), []),
        (("--peer", "unix", "--header", XFF), []),
        (("--peer", "10.0.0.1"), ["unresolved"]),
        (("--peer", "unix"), ["unresolved"]),
        (("--peer", "10.0.0.1", "--header", XFF, "--header", "X_F: 1"), ["underscores-folded"]),
        (("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 192.168.0.9"), ["client-private"]),
        (
            ("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 131.0.72.1"),
            ["layer-undeclared"],
        ),
    ],
)
def test_check_looks_at_a_request(words: tuple[str, ...], codes: list[str]) -> None:
    assert codes_of(*words) == codes


def test_check_needs_the_peer_of_a_request() -> None:
    for words in (("--header", XFF), ("--headers-file", "-")):
        assert "without --peer" in refused("check", *words, stdin=XFF.encode())
    assert "'fatal' is not one of" in refused("check", "--fail-on", "fatal")


# --- refresh ---


def fetched() -> tuple[str, str]:
    """The two lists as they are published: no line break at the end."""
    for name, networks in (("ips-v4", [V4[0], NEW]), ("ips-v6", V6)):
        Path(name).write_text("\n".join(networks))
        os.utime(name, (0, datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp()))
    return "ips-v4", "ips-v6"


def test_refresh_only_shows_the_difference_where_no_path_is_known() -> None:
    result = run("refresh", *fetched(), code=0)
    assert result.stdout.startswith(
        "The list of 2026-09-01 has 4 networks.\n"
        "Beside the bundled list, of 2026-07-02: 1 new, 1 gone.\n"
        "  new   162.158.0.0/15\n"
        "  gone  131.0.72.0/22\n\n"
        "Nothing was written."
    )
    assert "--output PATH" in flat(result.stdout)
    assert "GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES" in result.stdout
    assert sorted(path.name for path in Path().iterdir()) == ["ips-v4", "ips-v6"]


def test_refresh_writes_what_the_resolver_reads() -> None:
    words = (*fetched(), "--output", "new.json", "--published", "2026-09-03", "--json")
    assert json.loads(run("refresh", *words, code=0).stdout) == {
        "published": "2026-09-03",
        "count": 4,
        "added": [NEW],
        "removed": [V4[1]],
        "written": "new.json",
    }
    assert cloudflare.load("new.json") == ((V4[0], NEW, *V6), "2026-09-03")
    tree = json.loads(Path("new.json").read_text())
    assert (tree["source"], tree["published"]) == (cloudflare.SOURCE, "2026-09-03")
    assert stat.S_IMODE(Path("new.json").stat().st_mode) == 0o644


@pytest.mark.parametrize("how", ["environment", "file", "option"])
def test_refresh_renews_the_file_in_force(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    words = [*fetched()]
    if how == "environment":
        monkeypatch.setenv("GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES", "in-force.json")
        monkeypatch.setenv("GATEHOUND_CLIENT_IP__MODE", "not looked at here")
    elif how == "file":
        Path("a.toml").write_text('[client_ip]\ncloudflare_ranges = "in-force.json"')
        words += ["--config", "a.toml"]
    else:
        words += ["-o", "cloudflare_ranges=in-force.json"]
    first = run("refresh", *words, code=0)  # the file is not there yet
    assert "Beside the bundled list" in first.stdout
    assert "Restart every process of your app: the list is read" in first.stdout
    assert first.stderr == ""
    Path("in-force.json").chmod(0o640)
    second = run("refresh", *words, code=0)
    assert "Beside in-force.json, of 2026-09-01: 0 new, 0 gone." in second.stdout
    assert stat.S_IMODE(Path("in-force.json").stat().st_mode) == 0o640


def test_refresh_mends_a_broken_list() -> None:
    Path("in-force.json").write_text("nonsense")
    words = (*fetched(), "-o", "cloudflare_ranges=in-force.json")
    result = run("refresh", *words, "--json", code=0)
    assert "The list in force is left out: 'in-force.json': entry 1 of it is no network" in flat(
        result.stderr
    )
    assert json.loads(result.stdout)["added"] == [NEW]
    assert cloudflare.load("in-force.json").networks == (V4[0], NEW, *V6)


def test_output_beside_the_file_in_force_leaves_that_alone() -> None:
    names = fetched()
    run("refresh", *names, "--output", "in-force.json", code=0)
    before = Path("in-force.json").read_bytes()
    setting = ("-o", "cloudflare_ranges=in-force.json")
    result = run(
        "refresh", *names, *setting, "--output", "b.json", "--published", "2026-10-01", code=0
    )
    assert "To use it, set GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES" in result.stdout
    assert Path("in-force.json").read_bytes() == before
    assert cloudflare.load("b.json").published == "2026-10-01"


def test_refresh_follows_a_link_and_keeps_it() -> None:
    Path("folder").mkdir()
    Path("link.json").symlink_to("folder/real.json")
    run("refresh", *fetched(), "--output", "link.json", code=0)
    assert Path("link.json").is_symlink()
    assert cloudflare.load("folder/real.json").networks[1] == NEW


FORMS = [
    {
        "result": {"ipv4_cidrs": [V4[0], NEW], "ipv6_cidrs": ["2606:4700:0::/32", V6[1]]},
        "success": True,
    },
    {"networks": [*V6, V4[0], NEW, NEW], "published": "2026-08-05"},
]


@pytest.mark.parametrize("tree", FORMS)
def test_refresh_of_one_file(tree: dict[str, Any]) -> None:
    Path("api.json").write_text(json.dumps(tree))
    told = json.loads(run("refresh", "api.json", "--json", code=0).stdout)
    assert (told["count"], told["added"], told["removed"]) == (4, [NEW], [V4[1]])


def test_several_files_are_as_old_as_the_oldest() -> None:
    names = fetched()
    os.utime("ips-v6", (0, datetime(2026, 8, 2, tzinfo=UTC).timestamp()))
    assert json.loads(run("refresh", *names, "--json").stdout)["published"] == "2026-08-02"


BAD_LISTS = [
    (("ips-v4",), "'ips-v4': IPv4 and IPv6 networks are needed"),
    (("ips-v4", "ips-v4"), "'ips-v4', 'ips-v4': IPv4 and IPv6 networks are needed"),
    (("ips-v4", "page"), "'page': entry 1 of it is no network"),
    (("ips-v4", "ips-v6", "wide"), "'wide': '0.0.0.0/0' is no network of Cloudflare's"),
    (("ips-v4", "none"), "'none' does not exist"),
    ((), "Missing argument 'FILE...'"),
    (("ips-v4", "ips-v6", "--published", "soon"), "'soon' does not match the format '%Y-%m-%d'"),
    (("ips-v4", "ips-v6", "--published", "2026-07-01"), "the one in force is newer, of 2026-07-02"),
    (("ips-v4", "ips-v6", "--published", "9999-01-01"), "which is to come; give its day with"),
    (("ips-v4", "ips-v6", "-o", "hops=two"), "-o hops: 'two' given"),
    (("ips-v4", "ips-v6", "--output", "none/a.json"), "'none/a.json' cannot be written: No such"),
    (("ips-v4", "ips-v6", "--output", "folder"), "'folder' is a directory"),
    (("ips-v4", "ips-v6", "-o", "cloudflare_ranges=folder"), "'folder' is no ordinary file;"),
    (("ips-v4", "ips-v6", "-o", "cloudflare_ranges=pipe"), "'pipe' is no ordinary file; choose"),
    (("ips-v4", "ips-v6", "--output", "pipe"), "'pipe' is no ordinary file; choose another path"),
    (("ips-v4", "ips-v6", "--output", "to-pipe"), "'to-pipe' is no ordinary file; choose"),
    (("ips-v4", "ips-v6", "--output", "round"), "'round' leads nowhere:"),
    (("ips-v4", "ips-v6", "--output", "round/a.json"), "'round/a.json' leads nowhere:"),
    (("ips-v4", "ips-v6", "-o", "cloudflare_ranges=round"), "'round' leads nowhere:"),
    (("ips-v4", "ips-v6", "--output", "page/a.json"), "'page/a.json' leads nowhere: Not a dir"),
    (("ips-v4", "ips-v6", "--config", "nul.json"), r"'a\x00' leads nowhere: "),
    (("ips-v4", "ips-v6", "--output", "ips-v6"), "'ips-v6' is one of the files to read; choose"),
    (("ips-v4", "ips-v6", "--output", "folder/../ips-v4"), "is one of the files to read"),
    (("ips-v4", "to-v6", "--output", "ips-v6"), "'ips-v6' is one of the files to read"),
    (("ips-v4", "ips-v6", "--output", "to-v6"), "'to-v6' is one of the files to read"),
    (("ips-v4", "ips-v6", "-o", "cloudflare_ranges=ips-v4"), "'ips-v4' is one of the files to"),
    (("ips-v4", "one-v6"), "2 of the 4 networks in force are gone; fetch both lists again, or add"),
]


@pytest.mark.parametrize(("words", "says"), BAD_LISTS)
def test_refresh_refuses_and_writes_nothing(words: tuple[str, ...], says: str) -> None:
    fetched()
    Path("folder").mkdir()
    Path("page").write_text("<html>")
    Path("wide").write_text("0.0.0.0/0")
    Path("one-v6").write_text(V6[0])
    Path("kept.json").write_text("kept")
    Path("nul.json").write_text('{"cloudflare_ranges": "a\\u0000"}')
    os.mkfifo("pipe")
    for link, to in (("to-pipe", "pipe"), ("to-v6", "ips-v6"), ("round", "circle")):
        Path(link).symlink_to(to)
    Path("circle").symlink_to("round")
    aim = () if {"--output", "-o", "--config"} & {*words} else ("--output", "kept.json")
    before = sorted(Path().rglob("*"))
    assert says in refused("refresh", *words, *aim)
    assert Path("kept.json").read_text() == "kept"
    assert sorted(Path().rglob("*")) == before


UNFOLLOWED = [
    ("resolve", RuntimeError("Symlink loop from 'a'"), "Symlink loop from 'a'"),  # 3.11, 3.12
    ("resolve", OSError(40, "Too many levels of symbolic links"), "Too many levels of symbolic"),
    ("stat", PermissionError(13, "Permission denied"), "Permission denied"),
]


@pytest.mark.parametrize(("step", "error", "why"), UNFOLLOWED)
def test_a_path_that_cannot_be_followed_is_refused(
    monkeypatch: pytest.MonkeyPatch, step: str, error: Exception, why: str
) -> None:
    names = fetched()
    real = getattr(Path, step)

    def fail(path: Path, **more: Any) -> Any:
        if path.name == "a.json":
            raise error
        return real(path, **more)

    monkeypatch.setattr(Path, step, fail)
    told = refused("refresh", *names, "--output", "a.json")
    assert f"'a.json' leads nowhere: {why}" in told
    assert "; choose another path with --output" in told
    assert sorted(path.name for path in Path().iterdir()) == [*names]


@pytest.mark.parametrize("setting", ["round", "none/a.json", "page/a.json", "a\x00"])
def test_a_setting_that_leads_nowhere_is_no_target(setting: str) -> None:
    names = fetched()
    Path("page").write_text("")
    Path("round").symlink_to("round")
    Path("a.json").write_text(json.dumps({"cloudflare_ranges": setting}))
    result = run("refresh", *names, "--config", "a.json", "--output", "new.json", code=0)
    assert "Beside the bundled list" in result.stdout
    assert "To use it, set GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES" in result.stdout


def test_a_link_to_the_file_in_force_is_that_file() -> None:
    Path("link.json").symlink_to("in-force.json")
    words = (*fetched(), "-o", "cloudflare_ranges=in-force.json", "--output", "link.json")
    assert "Restart every process of your app" in run("refresh", *words, code=0).stdout


SHRUNK = [([NEW, V4[0]], V6, 0), ([V4[0], V4[1]], V6[:1], 0), (V4[:1], V6[:1], 2), ([NEW], V6, 2)]


@pytest.mark.parametrize(("v4", "v6", "code"), SHRUNK)
@pytest.mark.parametrize("aim", [(), ("--output", "a.json")])
def test_a_list_shrinks_by_a_quarter_or_on_demand(
    v4: list[str], v6: list[str], code: int, aim: tuple[str, ...]
) -> None:
    names = fetched()
    Path("ips-v4").write_text("\n".join(v4))
    Path("ips-v6").write_text("\n".join(v6))
    result = run("refresh", *names, *aim, code=code)
    assert ("add --shrink if Cloudflare has announced it" in flat(result.stderr)) == bool(code)
    assert Path("a.json").exists() == (bool(aim) and not code)
    assert f"{len(v4 + v6)} networks" in run("refresh", *names, *aim, "--shrink", code=0).stdout
    assert Path("a.json").exists() == bool(aim)


def test_a_loss_is_counted_beside_the_list_in_force() -> None:
    Path("a.json").write_text(json.dumps({"networks": [NEW, V6[0]], "published": "2026-08-01"}))
    words = ("refresh", *fetched(), "-o", "cloudflare_ranges=a.json")
    run(*words, code=0)
    Path("ips-v4").write_text(V4[1])
    assert "2 of the 4 networks in force are gone" in refused(*words)


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_a_full_disk_leaves_the_old_list(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    names = fetched()
    Path("kept.json").write_text("kept")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    told = refused("refresh", *names, "--output", "kept.json")
    assert "'kept.json' cannot be written: No space left on device; nothing was changed" in told
    assert sorted(path.name for path in Path().iterdir()) == ["ips-v4", "ips-v6", "kept.json"]
    assert Path("kept.json").read_text() == "kept"


def test_the_owner_is_kept_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def refuse(_file: int, owner: int, group: int) -> None:
        asked.append((owner, group))
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    names = fetched()
    Path("old.json").write_text("old")
    run("refresh", *names, "--output", "old.json", code=0)
    assert asked == [(os.getuid(), Path("ips-v4").stat().st_gid)]
    assert cloudflare.load("old.json").networks[1] == NEW


# --- what people see ---


@pytest.mark.parametrize(
    ("columns", "line", "folded"),
    [
        ("40", "a " * 30, f"{'a ' * 19}a\n    {'a ' * 10}".rstrip()),
        ("7", "b" * 41, f"{'b' * 40}\n    b"),
        ("1000", "c " * 60, f"{'c ' * 50}".rstrip() + f"\n    {'c ' * 10}".rstrip()),
        ("40", f"hop '{' ' * 40}' d", f"hop '{' ' * 35}\n    {' ' * 5}' d"),
        ("40", "it's one, it's two", "it's one, it's two"),
        ("40", "  Fix: " + "e" * 34, "  Fix:\n      " + "e" * 34),
        ("40", "\x1b[2J\x00 \u202e é", "\\x1b[2J\\x00 \\u202e é"),
        ("40", "", ""),
    ],
)
def test_lines_are_folded(
    monkeypatch: pytest.MonkeyPatch, columns: str, line: str, folded: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert fold(line) == folded


def test_page_has_each_command_with_its_options() -> None:
    for name, one in ip.commands.items():
        text = PAGE.partition(f"### `gatehound ip {name}`\n")[2].partition("\n#")[0]
        told = re.findall(r"^- (`-.+?`):", text, re.MULTILINE)
        options = [item.opts for item in one.params if isinstance(item, click.Option)]
        assert sorted(told) == sorted(", ".join(f"`{o}`" for o in opts) for opts in options)


def transcripts() -> list[tuple[str, str]]:
    text = PAGE + README
    block = r"^```console\n\$ gatehound (ip (?:.*\\\n)*.+)\n((?s:.*?))^```$"
    found = re.findall(block, text, re.MULTILINE)
    assert len(found) == text.count("```console\n$ gatehound ip ") > 3
    return [(line.replace("\\\n", " "), told) for line, told in found]


@pytest.mark.parametrize(("line", "told"), transcripts())
def test_transcripts_on_the_page_are_what_is_printed(line: str, told: str) -> None:
    fetched()
    result = CliRunner().invoke(command, shlex.split(line))
    assert (result.exit_code, result.stderr, result.stdout) == (0, "", told)


@pytest.mark.slow
def test_the_installed_command() -> None:
    script = "from gatehound.cli import main; main()"
    words = ["ip", "explain", *BEHIND_NGINX, "--peer", "unix", "--headers-file", "-"]

    def start(given: bytes, **more: str) -> subprocess.CompletedProcess[bytes]:
        arguments = [sys.executable, "-W", "error", "-c", script, *words]
        environ = {**os.environ, **more}
        return subprocess.run(arguments, input=given, capture_output=True, env=environ, check=False)

    done = start(XFF.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"The client is 203.0.113.7: reason client, source")
    done = start(b"X-Forwarded-For: \x1b[2J\xff")
    assert (done.returncode, done.stderr) == (1, b"")
    assert rb"x-forwarded-for[-1] '\x1b[2J\xff': not an address" in done.stdout
    done = start(b"", GATEHOUND_CLIENT_IP__HOPS="two")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Error: GATEHOUND_CLIENT_IP__HOPS: 'two' given")
