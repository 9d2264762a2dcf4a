"""Sends events as webhooks, signed by Standard Webhooks.

A 2xx is a delivery, and nothing else is: what the other side says beside it can only make it a
failure. 410 means that it wants nothing ever again.
"""

import ssl
from collections.abc import Sequence

from gateway.clients import outbound_url, retry_after
from gateway.clients.address_guard import AddressGuard
from gateway.clients.call_failures import CallFailed
from gateway.clients.http_answer import Answer
from gateway.clients.http_client import HttpClient
from gateway.clients.webhook_signing import Signer
from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.runtime.clock import Clock

#: A receiver has nothing to tell us; frameworks answer with less.
_ANSWER_BYTES_MAX = 64 * 1024
#: How a web page begins. A login page, a parking page and a proxy's own answer with 200.
_PAGES = (b"<!doctype html", b"<html")

_REASONS = {
    400: "it takes the message for malformed",
    401: "it does not accept the signature: does it have our secret?",
    403: "it does not accept the signature, or our address",
    404: "there is nothing at this path",
    405: "it takes no POST at this path",
    408: "it waited for the message too long",
    413: "the message is too large for it",
    415: "it does not take JSON",
    429: "it asks for fewer messages",
    503: "it is unavailable",
}


class WebhookSender:
    """Sends to one target. ``close`` it; until the first message it opens nothing."""

    def __init__(
        self,
        *,
        url: str,
        secrets: Sequence[str],
        call_s: float,
        in_flight_max: int,
        allowed: Sequence[str],
        clock: Clock,
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare a sender. Raises ``ValueError`` that says what is wrong.

        ``allowed``: hosts and networks that may be called although they are private.
        ``headers``: sent with every message. ``tls``: instead of the system's authorities.
        """
        if not outbound_url.parse(url).is_tls and not allowed:
            raise ValueError(
                "the URL is http://: use https://, or allow the private network it is in with "
                "private_addresses"
            )
        self._url = url
        self._signer = Signer(secrets)
        self._clock = clock
        self._client = HttpClient(
            call_s=call_s,
            answer_bytes_max=_ANSWER_BYTES_MAX,
            connections_max=in_flight_max,
            guard=AddressGuard(allowed=allowed),
            is_https_only=False,
            is_reusing=True,
            headers={"Content-Type": "application/json", **(headers or {})},
            tls=tls,
        )

    async def send(self, message: OutboundMessage) -> SendResult:
        """Send once, within ``call_s``."""
        headers = self._signer.headers(
            event_id=str(message.event_id),
            sent_s=int(self._clock.now().timestamp()),
            body=message.body,
        )
        try:
            answer = await self._client.post(self._url, message.body, headers=headers)
        except CallFailed as exc:
            return SendResult("failed", reason=str(exc))
        return self._judged(answer)

    async def reach(self) -> str:
        """Connect and send nothing; return why that failed, or an empty text."""
        try:
            await self._client.reach(self._url)
        except CallFailed as exc:
            return str(exc)
        return ""

    async def close(self) -> None:
        """Abandon what is being sent: those calls fail."""
        await self._client.close()

    def _judged(self, answer: Answer) -> SendResult:
        status = answer.status
        if 200 <= status < 300:
            begin = answer.body[:100].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
            if begin.startswith(_PAGES):
                return SendResult("failed", status, f"answered {status} with a web page")
            return SendResult("delivered", status)
        if status == 410:
            return SendResult("gone", status, "answered 410: it wants nothing ever again")
        if 300 <= status < 400:
            why = "a redirect, which is not followed: enter the address that it leads to"
        else:
            why = _REASONS.get(status, "")
        wait_s = None
        if status in {429, 503} and answer.retry_after:
            wait_s = retry_after.seconds(answer.retry_after, now=self._clock.now())
        reason = f"answered {status}: {why}" if why else f"answered {status}"
        return SendResult("failed", status, reason, wait_s)
