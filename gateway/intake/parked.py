"""What was parked is counted, and logged once with the numbers by which a person finds it."""

import logging

from gateway.domain.following import Parked
from gateway.intake import metrics

_log = logging.getLogger(__name__)


def report(parked: Parked, event: str = "parked") -> None:
    """Count and log what is parked, committed; ``event``: the words of the line."""
    metrics.PARKED.labels(parked.reason).inc()
    _log.warning(
        event,
        extra={
            "reason": parked.reason,
            "provider": parked.provider,
            "order_no": parked.order_no,
            "transaction_id": parked.transaction_id,
        },
    )
