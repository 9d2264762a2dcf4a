"""The command as a whole: its help, its errors, and what it imports."""

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gateway.domain.access import ROLES
from gateway.runtime.settings import Settings
from ops.cli import COMMANDS, main
from ops.migrations.version import HEAD
from tests.ops.conftest import Cli

_SECRET = "Tr0ub4dor"
_UNREACHABLE = f"postgresql://tidegate:{_SECRET}@127.0.0.1:1/tidegate"


def _every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(_every_command()))
def test_help_shows_an_example_and_the_exit_status(name: str, command: click.Command) -> None:
    assert command.epilog is not None
    assert f"tidegate {name}" in command.epilog
    assert "Exits 0" in command.epilog


#: What starts something or makes a file, and prints no data.
_PRINT_NO_DATA = {
    "up", "serve", "work", "migrate", "keys seal-init", "keys seal-retire", "keys seal-rotate",
    "missed export",
}  # fmt: skip


@pytest.mark.parametrize(("name", "command"), list(_every_command()))
def test_what_prints_data_prints_json_too(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) == (name not in _PRINT_NO_DATA)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_group_has_an_example_too(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert f"tidegate {name}" in (command.epilog or "")


@pytest.mark.parametrize("name", ["serve", "up"])
def test_the_help_says_when_more_processes_help(bare: Cli, name: str) -> None:
    text = " ".join(bare(name, "--help").output.split())
    assert "On two cores that they share, two processes take no more orders than one" in text
    assert "From four cores on" in text


def test_roles_promise_nothing_that_there_is_not(bare: Cli) -> None:
    text = bare("keys", "create", "--help").output
    assert "replay" not in text
    for role in ROLES:
        assert f"  {role} " in text


def test_the_list_of_commands_matches_the_help_of_each(bare: Cli) -> None:
    listed = " ".join(bare("--help").output.split())
    for name, sentence in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert (command.help or "").replace("\n", " ").startswith(sentence)
        assert f"{name} {sentence}" in listed


@pytest.mark.servers
@pytest.mark.parametrize("argument", ["--help", "version"])
def test_no_driver_is_imported_without_need(argument: str) -> None:
    script = (
        "import sys; from ops.cli import main\n"
        f"main([{argument!r}], standalone_mode=False)\n"
        "heavy = {'asyncpg', 'aiohttp', 'alembic', 'sqlalchemy', 'redis', 'cryptography'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.servers
def test_it_runs_as_a_module_too() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ops.cli", "version", "--json"], check=True, capture_output=True
    )
    assert json.loads(run.stdout)["schema"] == HEAD


def test_an_unknown_command_has_status_2(bare: Cli) -> None:
    assert bare("sevre").exit_code == 2


@pytest.mark.parametrize("command", ["serve", "work", "migrate", "keys list", "keys seal-rotate"])
def test_a_missing_setting_is_one_sentence_and_status_2(bare: Cli, command: str) -> None:
    run = bare(*command.split())
    assert run.exit_code == 2
    assert run.stderr.startswith("Error: database_url is not set")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["migrate", "migrate --check", "keys list", "keys revoke x"])
def test_an_unreachable_server_is_one_sentence_and_status_1(bare: Cli, command: str) -> None:
    run = bare(*command.split(), TIDEGATE_DATABASE_URL=_UNREACHABLE)
    assert run.exit_code == 1
    assert "nothing listens there" in run.stderr
    assert run.stderr.count("\n") == 1
    assert _SECRET not in run.output


@pytest.mark.parametrize(
    "url", [f"postgresql://tidegate:{_SECRET}/x@db/t", f"mysql://u:{_SECRET}@db"]
)
@pytest.mark.parametrize("command", ["migrate", "keys list", "doctor"])
def test_an_invalid_url_is_rejected_without_quoting_it(bare: Cli, command: str, url: str) -> None:
    run = bare(*command.split(), TIDEGATE_DATABASE_URL=url)
    assert run.exit_code == (1 if command == "doctor" else 2)
    assert "percent-encoded" in run.output
    assert _SECRET not in run.output


@pytest.mark.parametrize(
    "command",
    [
        ("keys", "revoke", "\udcff"),
        ("plan", "drop", "\udcff"),
        ("callbacks", "refused", "--provider", "\udcff"),
        ("callbacks", "refused", "--account", "\udcff"),
    ],
)
def test_an_argument_that_is_not_utf8_is_one_sentence(cli: Cli, command: tuple[str, ...]) -> None:
    run = cli(*command)
    assert run.exit_code == 2
    assert run.stderr == "Error: an argument is not valid UTF-8\n"


def test_a_wrong_password_is_reported_as_one(bare: Cli, settings: Settings) -> None:
    before, _, after = settings.database_url.rpartition("@")
    wrong = f"{before.rpartition(':')[0]}:{_SECRET}@{after}"
    run = bare("keys", "list", TIDEGATE_DATABASE_URL=wrong)
    assert run.exit_code == 1
    assert "password authentication failed" in run.stderr
    assert _SECRET not in run.output


def test_a_missing_key_ring_is_one_sentence_and_status_2(cli: Cli) -> None:
    run = cli("keys", "seal-list", TIDEGATE_KEYRING_FILE="nowhere.toml")
    assert run.exit_code == 2
    assert "tidegate keys seal-init" in run.stderr


def test_a_bug_keeps_its_traceback(bare: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise LookupError("a bug")

    monkeypatch.setattr("ops.commands.version.installed", broken)
    assert isinstance(bare("version").exception, LookupError)
