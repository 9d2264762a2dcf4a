"""The channels that alerts go to, over the one client for outbound HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.clients import alert_robots
from gateway.clients.alert_robots import Robot
from gateway.clients.http_client import CallFailed, HttpClient
from gateway.clients.webhook_signing import Signer
from gateway.domain import alerts
from gateway.domain.alerts import Message
from gateway.runtime.clock import Clock

_JSON = {"Content-Type": "application/json"}


class _Posted(Struct):
    """The body of a webhook, in the form that Standard Webhooks recommends."""

    type: str
    timestamp: datetime
    data: Message


class Channel(Protocol):
    """Takes messages to people."""

    async def send(self, messages: Sequence[Message]) -> str:
        """Send messages as one; return why they were not taken, in a few words, or ""."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class RobotChannel:
    """A robot of a chat."""

    def __init__(
        self, *, robot: Robot, url: str, secret: str, client: HttpClient, clock: Clock
    ) -> None:
        self._robot = robot
        self._url = url
        self._secret = secret
        self._client = client
        self._clock = clock

    async def send(self, messages: Sequence[Message]) -> str:
        """Post messages as one text, signed for now."""
        text = alert_robots.text_of([alerts.lines(each) for each in messages])
        title = alerts.title(messages[0])
        now_s = self._clock.now().timestamp()
        post = self._robot.post(self._url, self._secret, title, text, now_s)
        try:
            answer = await self._client.post(post.url, post.body, headers=_JSON)
        except CallFailed as exc:
            return str(exc)
        return alert_robots.refusal(self._robot, answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class WebhookChannel:
    """A webhook of the merchant's own: each message is one signed POST, 2xx takes it."""

    def __init__(
        self,
        *,
        url: str,
        signer: Signer,
        client: HttpClient,
        clock: Clock,
    ) -> None:
        self._url = url
        self._signer = signer
        self._client = client
        self._clock = clock

    async def send(self, messages: Sequence[Message]) -> str:
        """Post each message; the first that is not taken ends it."""
        for each in messages:
            body = msgspec.json.encode(_Posted(f"alert.{each.state}", each.at, each))
            # The same for every try, so that a receiver can tell a repeat.
            id_ = f"{each.rule}.{each.state}.{each.at:%Y%m%dT%H%M%S.%f}"
            sent_s = int(self._clock.now().timestamp())
            headers = {**_JSON, **self._signer.headers(event_id=id_, sent_s=sent_s, body=body)}
            try:
                answer = await self._client.post(self._url, body, headers=headers)
            except CallFailed as exc:
                return str(exc)
            if not 200 <= answer.status < 300:
                return f"answered {answer.status}"
        return ""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
