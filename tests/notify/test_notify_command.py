"""`gatehound notify`: once from cron, or as a worker."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace
from notify_kit import FLAGGED, IDENTITY, SECRET, WHSEC, hook_server, mail_server

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.cli import notify as module
from gatehound.cli.commands import gatehound
from gatehound.notify import ledger, worker


def environ(folder: Path, **more: str) -> dict[str, str]:
    return {
        "GATEHOUND_SECRET_KEYS": SECRET,
        "GATEHOUND_IDENTITY_KEY": IDENTITY,
        "GATEHOUND_STORE": f"sqlite:///{folder}/sessions.db",
        **{f"GATEHOUND_NOTIFY__{name.upper()}": value for name, value in more.items()},
    }


def run(env: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(gatehound, ["notify", *arguments], env=env)


def flag(env: dict[str, str], user_id: str = "ada") -> None:
    """Write an event as the app does."""
    settings = {"secret_keys": [SECRET], "identity_key": IDENTITY, "store": env["GATEHOUND_STORE"]}
    guard = Guard(settings, sinks=[]).blocking()
    run_sync(guard.tell(replace(FLAGGED, user_id=user_id)))
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


def test_once_tells_more_than_finds_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REFS", 4)
    env = environ(tmp_path, log="yes")
    for number in range(7):
        flag(env, f"user{number}")
    told = run(env, "--once")
    assert (told.exit_code, told.output) == (0, "7 sent, 0 failed\n")


def test_once_says_what_waits(tmp_path: Path) -> None:
    with hook_server() as hook, mail_server() as inbox:
        hook.answers = [503]
        env = environ(
            tmp_path,
            smtp=f"smtp://127.0.0.1:{inbox.port}",
            mail_from="no-reply@shop.example",
            admins="root@shop.example",
            webhook=hook.url,
            webhook_secrets=WHSEC,
        )
        for number in range(4):
            flag(env, f"user{number}")
            run(env, "--once")
        told = run(env, "--once")
    assert told.exit_code == 0
    unfolded = re.sub(r"\n? +", " ", told.output)
    counts, mail, webhook = unfolded.splitlines()
    assert counts == "0 sent, 0 failed"
    hours = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
    assert re.fullmatch(rf"smtp: 1 for admins waits until {hours}: no more than 3 an hour", mail)
    said = rf"webhook: 4 wait until {hours}: not delivered, the webhook answered 503"
    assert re.fullmatch(said, webhook)


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


BROKEN = """
from gatehound import Event, Guard
from gatehound._sync import run_sync
from gatehound.notify import Refused
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FaultyStore


class Store(FaultyStore):
    async def ping(self):
        if self.calls.count("ping") > 9:
            raise KeyboardInterrupt
        return await super().ping()


store = Store(MemoryStore())
users = []


def push(letter):
    users.append(letter.user_id)
    if len(users) == 1:
        store.fail("put")  # it is sent, and nobody can write that down
    if len(users) == 3:
        tell("dan")
        store.fail("tail", error=TypeError("a fault"))
        raise Refused("nobody here")
    if len(users) == 4:
        raise KeyboardInterrupt


def tell(name):
    run_sync(guard.blocking().tell(Event("session_flagged", user_id=name, notify="user")))


settings = {"development": True, "notify": {"users": True, "thread": False}}
guard = Guard(settings, store=store, sinks=[], notify=push)
assert guard.notifier is not None
guard.notifier.run_once()
for name in ("ann", "bob", "cid"):
    tell(name)
guard.notifier._settle = 0
"""


def test_a_worker_goes_on_over_an_outage_with_the_lease_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "REST", 0.001)
    monkeypatch.setattr(worker, "BREATH", 0.001)
    monkeypatch.setattr(module, "POLL", 0.001)
    (tmp_path / "broken_shop_of_notify.py").write_text(BROKEN)
    told = CliRunner().invoke(gatehound, ["notify", "--guard", "broken_shop_of_notify:guard"])
    assert told.exit_code == 130
    import broken_shop_of_notify as shop  # type: ignore[import-not-found]  # written above

    assert shop.users == ["ann", "bob", "cid", "dan"]
    assert "the store does not answer, tried again later: made up" in told.stderr
    assert told.stdout == "1 sent, 1 failed\n"
    assert "tried again later: TypeError: a fault" in told.stderr
