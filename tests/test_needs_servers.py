"""The mark ``servers``: set by the fixtures of a test; without it no test starts a process."""

import subprocess
import sys

import pytest

from ops.embedded.cluster import Servers

COMMAND = [sys.executable, "-c", ""]


def test_a_process_without_the_mark_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="without the mark `servers`"):
        subprocess.run(COMMAND, check=True)


@pytest.mark.parametrize("kind", ["paid"])
def test_a_common_name_of_a_parameter_does_not_mark(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """Tests of providers have a ``kind`` of message each; once a fixture had that name."""
    assert request.node.get_closest_marker("servers") is None


@pytest.mark.servers
def test_a_process_with_the_mark_runs() -> None:
    assert subprocess.run(COMMAND, check=True).returncode == 0


@pytest.fixture
def by_detour(servers: Servers) -> Servers:
    return servers


def test_a_fixture_that_starts_servers_marks_its_tests(
    by_detour: Servers, request: pytest.FixtureRequest
) -> None:
    assert request.node.get_closest_marker("servers") is not None
    assert by_detour.names


def test_a_test_that_starts_nothing_has_no_mark(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("servers") is None
