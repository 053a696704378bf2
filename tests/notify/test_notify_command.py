"""`gatehound notify`: once from cron, or as a worker."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from notify_kit import FLAGGED, IDENTITY, SECRET, WHSEC, hook_server, mail_server

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.cli import notify as module
from gatehound.cli.commands import gatehound
from gatehound.errors import StoreUnavailable
from gatehound.notify import Notifier, Step


def environ(folder: Path, **more: str) -> dict[str, str]:
    return {
        "GATEHOUND_SECRET_KEYS": SECRET,
        "GATEHOUND_IDENTITY_KEY": IDENTITY,
        "GATEHOUND_STORE": f"sqlite:///{folder}/sessions.db",
        **{f"GATEHOUND_NOTIFY__{name.upper()}": value for name, value in more.items()},
    }


def run(env: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(gatehound, ["notify", *arguments], env=env)


def flag(env: dict[str, str]) -> None:
    """Write an event as the app does."""
    settings = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": env["GATEHOUND_STORE"]}
    guard = Guard(settings, sinks=[]).blocking()
    run_sync(guard.tell(FLAGGED))
    run_sync(guard.close())


def test_once(tmp_path: Path) -> None:
    with hook_server() as hook:
        env = environ(tmp_path, webhook=hook.url, webhook_secrets=WHSEC)
        flag(env)
        told = run(env, "--once")
        assert (told.exit_code, told.output) == (0, "1 sent, 0 failed\n")
        again = run(env, "--once")
        assert (again.exit_code, again.output) == (0, "0 sent, 0 failed\n")
        assert len(hook.got) == 1


def test_once_says_what_failed_for_good(tmp_path: Path) -> None:
    with hook_server() as hook:
        hook.answers = [410]
        env = environ(tmp_path, webhook=hook.url, webhook_secrets=WHSEC)
        flag(env)
        told = run(env, "--once")
    assert (told.exit_code, told.output) == (1, "0 sent, 1 failed\n")


APP = """
from gatehound import Guard
from gatehound.listing import Users

guard = Guard(
    {{
        "secret_keys": ["{secret}"],
        "identity_key": "{identity}",
        "store": "{store}",
        "notify": {{
            "smtp": "smtp://127.0.0.1:{port}",
            "mail_from": "no-reply@shop.example",
            "users": True,
            "thread": False,
        }},
    }},
    users=Users(mail=lambda ids: {{one: f"{{one}}@people.example" for one in ids}}),
)
"""


def test_mail_to_users_by_the_guard_of_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = environ(tmp_path)
    with mail_server() as inbox:
        text = APP.format(
            secret=SECRET, identity=IDENTITY, store=env["GATEHOUND_STORE"], port=inbox.port
        )
        (tmp_path / "shop_of_notify.py").write_text(textwrap.dedent(text))
        flag(env)
        told = run(env, "--once", "--guard", "shop_of_notify:guard")
        assert (told.exit_code, told.output) == (0, "1 sent, 0 failed\n")
        assert inbox.taken[0].rcpt_tos == ["ada@people.example"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({}, 2, "nobody is to be told"),
        ({"smtp": "smtp://h", "mail_from": "a@b.example", "users": "yes"}, 2, "Users(mail=...)"),
        ({"log": "perhaps"}, 2, "GATEHOUND_NOTIFY__LOG"),
    ],
)
def test_what_cannot_be_told(tmp_path: Path, more: dict[str, str], code: int, said: str) -> None:
    env = environ(tmp_path, **more)
    flag(env)
    told = run(env, "--once")
    assert told.exit_code == code
    assert said in " ".join(told.output.split())


def test_a_worker_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Step | Exception] = [
        Step(sent=2, failed=1),
        Step(more=True),
        StoreUnavailable("down"),
        Step(due_in=1500),
        Step(),
    ]
    slept: list[float] = []

    def run_once(self: Notifier) -> Step:
        if not answers:
            raise KeyboardInterrupt
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Notifier, "run_once", run_once)
    monkeypatch.setattr(time, "sleep", slept.append)
    env = environ(tmp_path, log="yes")
    flag(env)
    told = run(env)
    assert told.exit_code == 130
    assert "2 sent, 1 failed" in told.output
    assert "the store does not answer, tried again: down" in told.output
    assert slept == [5.0, 0.2, 5.0, 1.5, 5.0]


@pytest.mark.parametrize(
    ("step", "wait"), [(Step(), 5.0), (Step(due_in=0), 0.2), (Step(due_in=99_000), 5.0)]
)
def test_how_long_nothing_is_due(step: Step, wait: float) -> None:
    assert module.pause(step) == wait
