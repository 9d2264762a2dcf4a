"""What the shell of `tidegate up` has set: servers of the user's own, or a sourced STATE/env."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.runtime.settings import SettingsError
from ops import effective
from ops.up import surroundings
from ops.up.surroundings import Surroundings

_OWN = {
    "TIDEGATE_DATABASE_URL": "postgresql://tidegate:5ecret@127.0.0.1:20001/tidegate",
    "TIDEGATE_REPLICA_URLS": "postgresql://tidegate:5ecret@127.0.0.1:20002/tidegate",
    "TIDEGATE_REDIS_URL": "redis://:5ecret@127.0.0.1:20003/0",
    "TIDEGATE_JOURNAL_URL": "redis://:5ecret@127.0.0.1:20004/0",
    "TIDEGATE_KEYRING_FILE": "/somewhere/with a blank/keyring.toml",
    "TIDEGATE_URL": "http://127.0.0.1:8080",
    "TIDEGATE_API_KEY": "tg_it's'\"$quoted",
}
_FOREIGN = "postgresql://shop:hush@db.example/shop"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose `tidegate up` has exported its servers."""
    made = tmp_path / "state"
    made.mkdir()
    (made / "env").write_text(surroundings.exports(_OWN, state=made))
    return made


def sourced(state: Path) -> dict[str, str]:
    """What a shell has after it has sourced STATE/env."""
    script = f". '{state}/env'; env -0"
    run = subprocess.run(
        ["sh", "-c", script], check=False, env={"PATH": "/usr/bin:/bin"}, capture_output=True
    )
    assert run.returncode == 0, run.stderr
    pairs = (line.partition("=") for line in run.stdout.decode().split("\0") if line)
    return {name: value for name, _, value in pairs if name.startswith("TIDEGATE_")}


def given(found: Surroundings) -> dict[str, str]:
    return {name: value for name, value in found.given.items() if value}


@pytest.mark.servers
def test_a_shell_gets_what_was_exported(state: Path) -> None:
    assert {name: sourced(state)[name] for name in _OWN} == _OWN


@pytest.mark.servers
def test_sourced_addresses_are_not_the_users_servers(state: Path) -> None:
    found = surroundings.look(sourced(state), state)
    assert given(found) == {}
    assert set(found.sourced) >= set(_OWN)
    assert found.note(state) == ""
    assert not any(name.startswith("TIDEGATE_") for name in found.environ)


@pytest.mark.servers
def test_those_of_another_state_directory_are_not_either(state: Path, tmp_path: Path) -> None:
    for other in (tmp_path / "other", None):
        found = surroundings.look(sourced(state), other)
        assert given(found) == {}
        assert f"sourced {state}/env, of another state directory" in found.note(other)


@pytest.mark.servers
def test_those_of_a_directory_that_is_gone_are_not_either(state: Path, tmp_path: Path) -> None:
    environ = sourced(state)
    (state / "env").unlink()
    assert given(surroundings.look(environ, tmp_path / "other")) == {}


def test_a_file_without_digests_is_recognised_too(state: Path) -> None:
    lines = (state / "env").read_text().splitlines(keepends=True)
    (state / "env").write_text("".join(line for line in lines if surroundings.SOURCED not in line))
    assert given(surroundings.look(_OWN, state)) == {}


@pytest.mark.servers
def test_a_server_of_the_users_own_beside_sourced_ones_is_explained(state: Path) -> None:
    environ = {**sourced(state), "TIDEGATE_DATABASE_URL": _FOREIGN}
    found = surroundings.look(environ, state)
    assert given(found) == {"database_url": _FOREIGN}
    note = found.note(state)
    assert note.startswith("TIDEGATE_DATABASE_URL is yours and in use. TIDEGATE_REPLICA_URLS, ")
    assert f"are of {state}/env, which this shell has sourced" in note
    assert "hush" not in note


def test_servers_of_the_users_own_count(state: Path) -> None:
    found = surroundings.look({"TIDEGATE_DATABASE_URL": _FOREIGN}, state)
    assert given(found) == {"database_url": _FOREIGN}
    assert (found.sourced, found.note(state)) == ((), "")


def test_the_file_names_servers_too_and_an_empty_variable_does_not(tmp_path: Path) -> None:
    Path("tidegate.toml").write_text(f'database_url = "{_FOREIGN}"\n')
    found = surroundings.look({"TIDEGATE_DATABASE_URL": ""}, None)
    assert given(found) == {"database_url": _FOREIGN}


@pytest.mark.parametrize("text", ["port = ", "port = 'x'"])
def test_a_wrong_file_is_reported_first(text: str) -> None:
    Path("tidegate.toml").write_text(text)
    with pytest.raises(SettingsError):
        surroundings.look({}, None)


@pytest.mark.parametrize(
    "environ",
    [
        {surroundings.SOURCED: ""},
        {surroundings.SOURCED: "::,,:"},
        {surroundings.SOURCED: "no digests"},
        {"TIDEGATE_REDIS_URL": "redis://\udcff"},
    ],
)
def test_odd_variables_do_no_harm(environ: Mapping[str, str], state: Path) -> None:
    (state / "env").write_text("export A='half quoted\nexport\nB=1\nexport C\n")
    found = surroundings.look(environ, state)
    assert "TIDEGATE_REDIS_URL" not in found.sourced


def test_the_doctor_knows_what_is_exported() -> None:
    assert effective.unknown_variables({**_OWN, surroundings.SOURCED: "x"}) == []
