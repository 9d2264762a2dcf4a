"""A reload is all or nothing, and its outcome is logged and counted."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from gateway.runtime import hangup
from gateway.runtime.hangup import Hangups
from gateway.runtime.reload_plan import Plan
from gateway.runtime.reloader import Reloader
from gateway.runtime.settings import SettingsError
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S

NOTHING = Plan()


class FakeConfiguration:
    """Reads what ``reading`` returns; what was applied is in ``applied``."""

    def __init__(self, reading: Callable[[], str], *, plan: Plan = NOTHING) -> None:
        self._reading = reading
        self._plan = plan
        self.applied: list[str] = []
        self.threads: list[int] = []

    def read(self) -> str:
        self.threads.append(threading.get_ident())
        return self._reading()

    def apply(self, read: str) -> Plan:
        if read == "contradicts":
            raise SettingsError("one contradicts the other")
        self.applied.append(read)
        return self._plan


class Asked(Hangups):
    """Means these things, one after the other."""

    def __init__(self, *meanings: str) -> None:
        super().__init__(is_tied=False)
        self._meanings = list(meanings)

    def take(self, now_s: float) -> hangup.Meaning | None:
        return self._meanings.pop(0) if self._meanings else None  # type: ignore[return-value]


def reloader(configuration: FakeConfiguration, *, read_s: float = HANG_S) -> Reloader[str]:
    return Reloader(
        hangups=Hangups(is_tied=False),
        configuration=configuration,
        clock=ManualClock(),
        read_s=read_s,
    )


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("tidegate_reloads_total", {"outcome": outcome}) or 0.0


def gauge(name: str) -> float | None:
    return REGISTRY.get_sample_value(name)


def fields(caplog: pytest.LogCaptureFixture) -> tuple[str, str, dict[str, str]]:
    (record,) = caplog.records
    names = ("changed", "needs_restart", "reason")
    found: dict[str, str] = {name: vars(record)[name] for name in names if name in vars(record)}
    return record.levelname, record.getMessage(), found


async def test_what_is_read_is_applied_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    configuration = FakeConfiguration(
        lambda: "new", plan=Plan(accounts=["+ stripe/eu"], needs_restart=["port", "host"])
    )
    applied = count("applied")
    await reloader(configuration).reload(asyncio.Event())
    assert configuration.applied == ["new"]
    assert configuration.threads != [threading.get_ident()], "files are read beside the loop"
    assert fields(caplog) == (
        "WARNING", "reloaded", {"changed": "accounts + stripe/eu", "needs_restart": "port, host"},
    )  # fmt: skip
    assert count("applied") == applied + 1
    assert gauge("tidegate_reload_ok") == 1


def wrong() -> str:
    raise SettingsError("accounts: stripe/eu: secret file:x is empty or not set")


def broken() -> str:
    raise RuntimeError("hush")


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (wrong, "accounts: stripe/eu: secret file:x is empty or not set"),
        (broken, "RuntimeError: see the trace"),
        (lambda: "contradicts", "one contradicts the other"),
    ],
)
async def test_what_is_wrong_changes_nothing_and_is_logged_in_one_line(
    caplog: pytest.LogCaptureFixture, reading: Callable[[], str], reason: str
) -> None:
    caplog.set_level(logging.INFO)
    configuration = FakeConfiguration(reading)
    refused = count("refused")
    tried = reloader(configuration)
    await tried.reload(asyncio.Event())
    assert configuration.applied == []
    assert fields(caplog) == ("ERROR", "not reloaded", {"reason": reason})
    assert count("refused") == refused + 1
    assert gauge("tidegate_reload_ok") == 0
    reading_again = FakeConfiguration(lambda: "good")
    await reloader(reading_again).reload(asyncio.Event())
    assert gauge("tidegate_reload_ok") == 1


async def test_a_file_that_hangs_does_not_hang_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = threading.Event()
    configuration = FakeConfiguration(lambda: str(released.wait(HANG_S)))
    await reloader(configuration, read_s=0.01).reload(asyncio.Event())
    level, event, found = fields(caplog)
    assert (level, event) == ("ERROR", "not reloaded")
    assert "not read within 0.01 s" in found["reason"]
    released.set()
    assert configuration.applied == []


async def test_a_process_that_stops_waits_for_no_file() -> None:
    released, stopping = threading.Event(), asyncio.Event()
    configuration = FakeConfiguration(lambda: str(released.wait(HANG_S)))
    reloading = asyncio.create_task(reloader(configuration).reload(stopping))
    stopping.set()
    await asyncio.wait_for(reloading, HANG_S)
    released.set()
    assert configuration.applied == []


async def test_the_end_of_the_terminal_stops_the_process() -> None:
    stopping = asyncio.Event()
    configuration = FakeConfiguration(lambda: "new")
    task = Reloader(
        hangups=Asked("reload", "reload", "end", "reload"),
        configuration=configuration,
        clock=ManualClock(),
    )
    await asyncio.wait_for(task.run(stopping), HANG_S)
    assert stopping.is_set()
    assert configuration.applied == ["new", "new"]
