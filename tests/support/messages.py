"""Messages to targets, as a dispatcher renders them."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gateway.domain.handoff import OutboundMessage


def outbound(**changes: Any) -> OutboundMessage:
    fields: dict[str, Any] = {
        "event_id": uuid4(),
        "topic": "order.paid",
        "occurred_at": datetime.now(UTC),
        "order_id": uuid4(),
        "order_no": "W-1",
        "channel": "web",
        "version": 3,
        "body": b'{"type":"order.paid"}',
        "attempt": 1,
    }
    return OutboundMessage(**{**fields, **changes})
