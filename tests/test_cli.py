"""The command line: the way in, keygen, and what the demo says when it cannot start."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import gatehound
from gatehound import Settings
from gatehound.cli import main
from gatehound.cli.commands import gatehound as command

# The package re-exports the command under the module's own name.
demo_package = sys.modules["gatehound.cli.demo"]


def test_keygen_prints_keys_that_settings_accept() -> None:
    result = CliRunner().invoke(command, ["keygen", "--count", "3"])
    keys = result.stdout.split("\n")[:-1]
    assert result.exit_code == 0
    assert [len(key) for key in keys] == [43, 43, 43]
    assert len(set(keys)) == 3
    settings = Settings.from_dict(
        {"secret_keys": keys[:2], "identity_key": keys[2], "store": "memory://"}
    )
    assert settings.secret_keys == tuple(keys[:2])


def test_keygen_prints_one_key_by_default() -> None:
    first, second = (CliRunner().invoke(command, ["keygen"]).stdout for _ in range(2))
    assert first.count("\n") == second.count("\n") == 1
    assert first != second


@pytest.mark.parametrize("count", ["0", "-1", "1001", "many"])
def test_keygen_refuses_a_count_that_makes_no_sense(count: str) -> None:
    result = CliRunner().invoke(command, ["keygen", "--count", count])
    assert result.exit_code == 2
    assert "--count" in result.stderr


def test_main_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert capsys.readouterr().out == f"gatehound, version {gatehound.__version__}\n"


def _forget_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gatehound.cli.")]:
        monkeypatch.delitem(sys.modules, name)


def test_main_without_click_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _forget_commands(monkeypatch)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert 'pip install "gatehound[cli]"' in told.err


def test_main_does_not_hide_another_missing_module(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget_commands(monkeypatch)
    monkeypatch.setitem(sys.modules, "gatehound.cli.keygen", None)
    with pytest.raises(ModuleNotFoundError, match="keygen"):
        main()


def test_demo_names_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_package, "NEEDED", ("json", "no_such_module_a", "no_such_module_b"))
    result = CliRunner().invoke(command, ["demo"])
    assert result.exit_code == 2
    assert "no_such_module_a, no_such_module_b" in result.stderr
    assert "json" not in result.stderr
    assert 'pip install "gatehound[demo]"' in result.stderr


@pytest.mark.parametrize("code", [0, 1])
def test_demo_check_exits_as_the_story_ends(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    story = import_module("gatehound.cli.demo.story")
    monkeypatch.setattr(story, "run_check", lambda echo: echo("told") or code)
    result = CliRunner().invoke(command, ["demo", "--check"])
    assert (result.exit_code, result.stdout) == (code, "told\n")


def test_demo_says_that_a_port_is_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(command, ["demo", "--port", str(port)])
    assert result.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "", "::"])  # noqa: S104 - what must be refused
def test_demo_listens_on_loopback_only(host: str) -> None:
    result = CliRunner().invoke(command, ["demo", "--host", host])
    assert result.exit_code == 2
    assert "loopback only" in result.stderr


def test_demo_says_that_the_keys_of_its_folder_are_broken(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    result = CliRunner().invoke(command, ["demo", "--port", str(port), "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "holds no two keys" in result.stderr
