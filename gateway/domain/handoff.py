"""What is handed on: a message to a target, what became of it, and who sends it."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

#: What a sender says of one try. ``gone``: the target wants nothing ever again.
SendOutcome = Literal["delivered", "failed", "gone"]

#: What became of an attempt, as the log of attempts keeps it. ``withdrawn``: by the time that it
#: was to be sent it was no longer so.
AttemptOutcome = Literal["delivered", "failed", "withdrawn"]


class OutboundMessage(Struct, frozen=True):
    """One event for one target. ``event_id`` and ``topic`` are the same in every attempt.

    ``body``: a JSON object in UTF-8, rendered anew for each attempt, of the order's ``version``.
    ``attempt`` counts from 1.
    """

    event_id: UUID
    topic: str
    occurred_at: datetime
    order_id: UUID
    order_no: str
    channel: str
    version: int
    body: bytes
    attempt: int


class SendResult(Struct, frozen=True):
    """What became of one try. ``reason`` is for people, and quotes nothing of the other side.

    ``status_code``: of an HTTP answer, None where there was none. ``retry_after_s``: what the
    other side asked for.
    """

    outcome: SendOutcome
    status_code: int | None = None
    reason: str = ""
    retry_after_s: float | None = None


class Sender(Protocol):
    """Sends to one target."""

    async def send(self, message: OutboundMessage) -> SendResult:
        """Try once, within the target's ``call_s``. Never raises for what the other side does."""
        ...

    async def close(self) -> None:
        """Abandon what is being sent, and close the connections."""
        ...
