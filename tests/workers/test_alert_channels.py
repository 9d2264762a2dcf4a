"""Each channel against a stand-in that checks what the real one checks."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP

from gateway.domain import alerts
from gateway.domain.alerts import RULES, Message
from gateway.runtime.settings_alerts import AlertChannel
from tests.domain.support import NOW
from tests.support.alert_stand_ins import SECRET, StandIn, standing_in
from tests.support.fakes.clock import ManualClock
from workers import alert_channels
from workers.alerts import AlertChannel as OpenedChannel

CLOCK = ManualClock()
ROBOTS = ["dingtalk", "wecom", "feishu", "slack"]


def message(rule: int = 0, **changes: Any) -> Message:
    return alerts.message(RULES[rule], "firing", 3, NOW, runbook_url="https://docs.example/<1>&")


def channel(robot: StandIn, monkeypatch: pytest.MonkeyPatch, secret: str = SECRET) -> OpenedChannel:
    monkeypatch.setenv("ROBOT_URL", robot.url)
    monkeypatch.setenv("ROBOT_SECRET", secret)
    settings = AlertChannel(
        "chat",
        robot.kind,  # type: ignore[arg-type]
        url="env:ROBOT_URL",
        secret="env:ROBOT_SECRET",
        private_addresses=["127.0.0.0/8"],
    )
    return alert_channels.open_channel(settings, clock=CLOCK)


def now_s() -> float:
    return CLOCK.now().timestamp()


@pytest.mark.parametrize("kind", ROBOTS)
async def test_a_robot_takes_messages_as_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with standing_in(kind, now_s) as robot:
        to = channel(robot, monkeypatch)
        assert await to.channel.send([message(), message(1)]) == ""
        await to.channel.close()
    (text,) = robot.taken
    assert "FIRING: PostgreSQL does not answer" in text
    assert "FIRING: Redis does not answer" in text
    runbook = "https://docs.example/<1>&runbooks/faults.md"
    escaped = runbook.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert (escaped if kind == "slack" else runbook) in text


@pytest.mark.parametrize("kind", ["dingtalk", "feishu"])
async def test_a_wrong_secret_is_refused_with_the_robots_words(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_in(kind, now_s) as robot:
        to = channel(robot, monkeypatch, secret="another")
        reason = await to.channel.send([message()])
        await to.channel.close()
    assert (robot.taken, len(robot.refused)) == ([], 1)
    assert "sign" in reason
    assert "310000" in reason or "19021" in reason


@pytest.mark.parametrize("kind", ROBOTS)
@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500, text="no"),
        web.Response(status=302, headers={"Location": "http://127.0.0.1/"}),
        web.Response(text="<html>signed in?</html>"),
        web.Response(body=b"\xff\xfe"),
        web.Response(body=b"x" * 200_000),
    ],
    ids=["500", "redirect", "html", "bytes", "endless"],
)
async def test_an_odd_answer_is_a_refusal(
    kind: str, answer: web.Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing_in(kind, now_s) as robot:
        robot.answers.append(web.Response(body=answer.body, status=answer.status))
        to = channel(robot, monkeypatch)
        assert await to.channel.send([message()]) != ""
        # The next one is taken.
        assert await to.channel.send([message()]) == ""
        await to.channel.close()
    assert len(robot.taken) == 1


async def test_a_text_is_cut_to_what_a_robot_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [message()] * 100
    async with standing_in("wecom", now_s) as robot:
        to = channel(robot, monkeypatch)
        assert await to.channel.send(many) == ""
        await to.channel.close()
    assert robot.taken[0].endswith("…")


async def test_a_channel_that_nobody_serves_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with standing_in("slack", now_s) as robot:
        to = channel(robot, monkeypatch)
    assert await to.channel.send([message()]) != ""
    await to.channel.close()


async def test_a_private_address_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with standing_in("slack", now_s) as robot:
        monkeypatch.setenv("ROBOT_URL", robot.url)
        settings = AlertChannel("chat", "slack", url="env:ROBOT_URL")
        to = alert_channels.open_channel(settings, clock=CLOCK)
        assert await to.channel.send([message()]) != ""
        await to.channel.close()
    assert robot.taken == []


class Mailbox:
    """Takes mails, but for addresses of nowhere.example."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.endswith("@nowhere.example"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


async def test_mails_are_taken_and_refused_addresses_are_counted() -> None:
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="mail.example"), "127.0.0.1", 0
    )
    settings = AlertChannel(
        "mail", "email", smtp_host="127.0.0.1", smtp_port=server.sockets[0].getsockname()[1],
        smtp_tls="none", sender="tidegate@shop.example",
        to=["sre@shop.example", "gone@nowhere.example"],
    )  # fmt: skip
    to = alert_channels.open_channel(settings, clock=CLOCK)
    async with server:
        reason = await to.channel.send([message(), message(1)])
    assert reason == "the server refused 1 of 2 addresses"
    (mail,) = mailbox.mails
    assert mail["Subject"].startswith("[Tidegate] FIRING: PostgreSQL does not answer; ")
    assert mail["Subject"].endswith(" and 1 more")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Redis does not answer" in mail.get_content()
    # Now nobody is there.
    assert "no answer" in await to.channel.send([message()])
