"""A server goes silent under a worker, and the robot of a chat knows; and again when it is back."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.runtime.settings_alerts import AlertChannel, AlertSetting
from gateway.wiring import open_gateway
from tests.support.alert_stand_ins import SECRET, StandIn, standing_in
from tests.support.cable import cable_to
from tests.support.patience import HANG_S
from workers import supervisor


def now_s() -> float:
    return datetime.now(UTC).timestamp()


async def taken(robot: StandIn, words: str) -> None:
    async with asyncio.timeout(HANG_S):
        while not any(words in text for text in robot.taken):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("what", ["postgres", "redis"])
async def test_a_silent_server_is_told_of_and_its_return(
    what: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    setting = {"postgres": "database_url", "redis": "redis_url"}[what]
    async with (
        standing_in("dingtalk", now_s) as robot,
        cable_to(getattr(settings, setting)) as cable,
    ):
        monkeypatch.setenv("ROBOT_URL", robot.url)
        monkeypatch.setenv("ROBOT_SECRET", SECRET)
        channel = AlertChannel(
            "chat", "dingtalk", url="env:ROBOT_URL", secret="env:ROBOT_SECRET",
            private_addresses=["127.0.0.0/8"],
        )  # fmt: skip
        changed = {
            setting: cable.url,
            "alert_channels": [channel],
            # There is no gateway beside this worker.
            "alerts": [AlertSetting("gateways_missing", is_on=False)],
        }
        async with open_gateway(msgspec.structs.replace(settings, **changed)) as gateway:
            alerting = supervisor.tasks(gateway)["alerts"]
            stopping = asyncio.Event()
            running = asyncio.create_task(alerting.run(stopping))
            # It has seen the server well.
            async with asyncio.timeout(HANG_S):
                while alerting._watches[f"{what}_unavailable"].right_since_s is None:  # type: ignore[attr-defined]
                    await asyncio.sleep(0.05)
            cable.silence()
            at_s = now_s()
            await taken(robot, f"FIRING: {'PostgreSQL' if what == 'postgres' else 'Redis'}")
            print(f"{what}: told after {now_s() - at_s:.1f} s")
            cable.mend()
            await taken(robot, f"RESOLVED: {'PostgreSQL' if what == 'postgres' else 'Redis'}")
            stopping.set()
            await asyncio.wait_for(running, HANG_S)
    assert robot.refused == []
    assert sum(f"{what}_unavailable" in text for text in robot.taken) == 2
