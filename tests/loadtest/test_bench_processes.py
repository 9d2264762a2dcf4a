"""The services under measurement, as processes."""

import pytest

from loadtest.bench import processes
from loadtest.errors import CannotRun

pytestmark = pytest.mark.servers


def _seen_by_a_child(variable: str, given: dict[str, str]) -> str:
    """Return the last value that a child prints of a variable."""
    statement = f"print(os.environ.get({variable!r}))"
    options = ["--number=1", "--repeat=1", "--setup=import os", statement]
    return processes.run("timeit", options, given).splitlines()[0]


@pytest.mark.servers
def test_what_is_measured_does_not_have_the_settings_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGATE_SHEDDING", "watch")
    assert _seen_by_a_child("TIDEGATE_SHEDDING", {}) == "None"
    assert _seen_by_a_child("TIDEGATE_SHEDDING", {"TIDEGATE_SHEDDING": "act"}) == "act"


@pytest.mark.servers
def test_a_command_that_fails_ends_the_run_with_what_it_printed() -> None:
    with pytest.raises(CannotRun, match="ZeroDivisionError"):
        processes.run("timeit", ["1 / 0"], {})
