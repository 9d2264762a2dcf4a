"""What attempts on a target come to: counted, and given to the log with what follows."""

import logging
import random
from datetime import datetime

from gateway.domain import handoff_decisions
from gateway.domain.handoff import SendResult
from gateway.runtime.clock import Clock
from gateway.runtime.settings_targets import Target
from gateway.stores.postgres.deliveries import Attempt, Delivery
from workers import handoff_metrics as metrics
from workers import targets as configured
from workers.attempts_log import AttemptsLog

_log = logging.getLogger(__name__)


class AttemptResults:
    """Takes the result of each attempt on one target."""

    def __init__(self, *, target: Target, log: AttemptsLog, clock: Clock) -> None:
        self._name = target.name
        self._rule = configured.retry_rule(target)
        self._ended = log
        self._clock = clock
        # Looked up once: it is needed for each delivery.
        self._delivered = metrics.ATTEMPTS.labels(target.name, "delivered")
        self._failed = metrics.ATTEMPTS.labels(target.name, "failed")
        self._withdrawn = metrics.ATTEMPTS.labels(target.name, "withdrawn")
        self._dead = metrics.DEAD_LETTERS.labels(target.name)
        self._delivery_s = metrics.DELIVERY_S.labels(target.name)

    def delivered(
        self,
        delivery: Delivery,
        version: int,
        result: SendResult,
        *,
        started_at: datetime,
        took_ms: int,
    ) -> None:
        """End a delivery that the target has."""
        self._delivered.inc()
        since = self._clock.now() - delivery.occurred_at
        self._delivery_s.observe(max(0.0, since.total_seconds()))
        self._ended.add(
            Attempt(delivery, version, started_at, took_ms, "delivered", result.status_code)
        )

    def withdrawn(self, delivery: Delivery, version: int, reason: str) -> None:
        """End a delivery that must not be made any more."""
        self._withdrawn.inc()
        now = self._clock.now()
        self._ended.add(Attempt(delivery, version, now, 0, "withdrawn", None, reason))

    def failed(
        self,
        delivery: Delivery,
        version: int,
        result: SendResult,
        *,
        started_at: datetime | None = None,
        took_ms: int = 0,
    ) -> None:
        """End an attempt that another one follows, or none: then it is a dead letter."""
        self._failed.inc()
        following = handoff_decisions.retry(
            self._rule,
            delivery.attempts + 1,
            asked_s=result.retry_after_s,
            share=random.random(),  # noqa: S311 - guards nothing
        )
        # A target that is gone needs a person, and no dead letters: they wait until it is enabled.
        is_dead = following.is_dead and result.outcome != "gone"
        if is_dead:
            self._dead.inc()
            _log.error(
                "a dead letter",
                extra={
                    "target": self._name,
                    "event_id": str(delivery.event_id),
                    "order_id": str(delivery.order_id),
                    "topic": delivery.topic,
                    "reason": result.reason,
                },
            )
        self._ended.add(
            Attempt(
                delivery,
                version,
                started_at or self._clock.now(),
                took_ms,
                "failed",
                result.status_code,
                result.reason,
                None if is_dead else following.after_s,
            )
        )
