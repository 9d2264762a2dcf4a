"""`tidegate alerts`: the rules, a message to try a channel, and silence."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.runtime import settings_source
from gateway.runtime.settings import Settings
from ops.doctor import alert_channels as doctor
from tests.ops.conftest import Cli
from tests.support.alert_stand_ins import SECRET, standing_in

_FILE = """\
[[alert_channels]]
name = "chat"
kind = "feishu"
url = "env:CHAT_URL"
secret = "env:CHAT_SECRET"
private_addresses = ["127.0.0.0/8"]

[[alerts]]
name = "parked"
threshold = 10
"""


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "tidegate.toml"
    path.write_text(_FILE)
    return {"TIDEGATE_CONFIG": str(path)}


async def test_a_channel_is_tried(cli: Cli, config: dict[str, str]) -> None:
    async with standing_in("feishu", lambda: datetime.now(UTC).timestamp()) as robot:
        where = {**config, "CHAT_URL": robot.url, "CHAT_SECRET": SECRET}
        done = await asyncio.to_thread(cli, "alerts", "test", "chat", **where)
        assert done.exit_code == 0, done.output
        where["CHAT_SECRET"] = "another"
        refused = await asyncio.to_thread(cli, "alerts", "test", "chat", **where)
    assert "TEST" in robot.taken[0]
    assert (refused.exit_code, "19021" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("url", "secret", "fault"),
    [
        ("https://chat.example/robot", "env:CHAT_SECRET", "url: a secret is given as env:NAME"),
        ("env:CHAT_URL", "env:NONE", "secret: secret env:NONE is empty or not set"),
    ],
)
async def test_a_wrong_channel_is_named_by_the_doctor_and_by_a_test(
    cli: Cli, tmp_path: Path, url: str, secret: str, fault: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(_FILE.replace("env:CHAT_URL", url).replace("env:CHAT_SECRET", secret))
    where = {"TIDEGATE_CONFIG": str(path), "CHAT_URL": "https://c.example/", "CHAT_SECRET": SECRET}
    tried = await asyncio.to_thread(cli, "alerts", "test", "chat", **where)
    assert (tried.exit_code, f"alert_channels: chat: {fault}" in tried.output) == (2, True)
    loaded = settings_source.load({**where, "TIDEGATE_DATABASE_URL": "postgresql://nowhere"})
    (found,) = await doctor.channels(loaded, where)
    assert (found.check, found.level) == ("alerts to chat", "fail")
    assert found.found.startswith(fault) and "no worker starts" in found.advice


async def test_the_doctor_opens_channels_and_sends_nothing(config: dict[str, str]) -> None:
    where = {**config, "CHAT_URL": "https://chat.example/robot", "CHAT_SECRET": SECRET}
    loaded = settings_source.load({**where, "TIDEGATE_DATABASE_URL": "postgresql://nowhere"})
    (found,) = await doctor.channels(loaded, where)
    assert (found.level, found.check) == ("ok", "alerts to chat")
    (found,) = await doctor.channels(Settings(database_url="postgresql://nowhere"), {})
    assert (found.check, found.level) == ("alerts", "ok")


async def test_rules_are_listed_and_silenced(cli: Cli, config: dict[str, str]) -> None:
    def run(*arguments: str) -> str:
        done = cli("alerts", *arguments, **config)
        assert done.exit_code == 0, done.output
        return done.output

    def story() -> None:
        listed = {each["rule"]["name"]: each for each in json.loads(run("list", "--json"))}
        assert listed["parked"]["rule"]["threshold"] == 10
        assert listed["parked"]["told"] == []
        assert "parked" in run("silence", "parked", "--hours", "2", "--reason", "known")
        assert "(silent)" in run("list", "--wide")
        run("unsilence", "parked")
        assert "chat" not in run("list", "--wide"), "it was told nothing"

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("arguments", "added", "words"),
    [
        (("test", "sms"), "", "no channel is named sms: chat"),
        (("silence", "weather", "--reason", "x"), "", "no alert is named weather"),
        (("list",), '[[alerts]]\nname = "weather"\n', "weather is no alert"),
        (("list",), '[[alert_channels]]\nname = "chat"\nkind = "slack"\n', "listed twice"),
        (("list",), '[[alert_channels]]\nname = "s"\nkind = "slack"\n', "needs a url"),
        (("list",), '[[alert_channels]]\nname = "m"\nkind = "email"\n', "needs smtp_host"),
        (("list",), '[[alert_channels]]\nname = "m"\nkind = "sms"\n', "kind"),
    ],
)
async def test_what_is_wrong_is_said(
    cli: Cli, config: dict[str, str], arguments: tuple[str, ...], added: str, words: str
) -> None:
    path = Path(config["TIDEGATE_CONFIG"])
    path.write_text(path.read_text() + added)
    done = await asyncio.to_thread(cli, "alerts", *arguments, **config)
    assert (done.exit_code, words in done.output) == (2, True), done.output
