"""Alerts: when a figure of the whole becomes a message to people, and when that is taken back.

A rule compares one figure with a threshold. It fires once the figure has been over it for
``for_s``, and is resolved once it has not been for ``CLEAR_S``: a figure that goes up and down
around the threshold sends two messages, not twenty. A figure that is not known changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

#: Seconds that a figure must be right again before its alert is resolved.
CLEAR_S = 10.0

Severity = Literal["page", "ticket"]
State = Literal["firing", "resolved"]


class AlertRule(Struct, frozen=True):
    """When a figure is an alert. ``is_below``: it fires below the threshold, not at or above it.

    ``for_s``: how long it must be so. ``summary``: what is wrong, as a sentence. ``runbook``: the
    page that says what to do. ``channels`` empty: every channel.
    """

    name: str
    figure: str
    threshold: float
    for_s: float
    severity: Severity
    summary: str
    runbook: str
    is_below: bool = False
    channels: tuple[str, ...] = ()

    def is_breached(self, value: float) -> bool:
        """Return whether a value is on the wrong side."""
        return value < self.threshold if self.is_below else value >= self.threshold


#: The rules that are there without a word in the settings. Those for faults of servers wait so
#: short that a message is out within 12 s of the fault.
RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "postgres_unavailable", "postgres_unavailable", 1, 2, "page",
        "PostgreSQL does not answer; orders and payments are journaled", "runbooks/faults.md",
    ),
    AlertRule(
        "redis_unavailable", "redis_unavailable", 1, 2, "page",
        "Redis does not answer; repeats cost more, and there is no journal", "runbooks/faults.md",
    ),
    AlertRule(
        "journal_waiting", "journal_oldest_s", 30, 3, "page",
        "What is journaled is not committed", "runbooks/faults.md",
    ),
    AlertRule(
        "shedding", "shed_tiers", 1, 3, "page",
        "Load is so high that tiers of features are shed", "runbooks/overload.md",
    ),
    AlertRule(
        "gateways_missing", "gateways", 1, 3, "page",
        "No gateway process reports to the others", "runbooks/faults.md", is_below=True,
    ),
    AlertRule(
        "worker_task", "failing_tasks", 1, 5, "page",
        "A task of a worker does not get its rounds done", "runbooks/faults.md",
    ),
    AlertRule(
        "outbox_waiting", "outbox_oldest_s", 60, 5, "page",
        "Changes of orders are not handed on", "runbooks/hand-off.md",
    ),
    AlertRule(
        "dead_letters", "dead_letters", 1, 0, "page",
        "Deliveries were given up", "runbooks/hand-off.md",
    ),
    AlertRule(
        "target_disabled", "disabled_targets", 1, 0, "page",
        "A target answered that it is gone, and gets nothing", "runbooks/hand-off.md",
    ),
    AlertRule(
        "missed_orders", "missed_orders", 1, 0, "page",
        "Orders are paid, and the warehouse does not have them", "runbooks/missed-orders.md",
    ),
    AlertRule(
        "parked", "parked", 1, 0, "ticket",
        "Messages are parked and wait for a person", "runbooks/held-and-parked.md",
    ),
    AlertRule(
        "exceptions_overdue", "exceptions_overdue", 1, 0, "ticket",
        "Exceptions are past their deadline", "guides/how-to/exceptions.md",
    ),
    AlertRule(
        "callbacks_rejected", "rejected_callbacks", 20, 0, "ticket",
        "Callbacks are rejected: a secret or a key may be wrong", "runbooks/faults.md",
    ),
)  # fmt: skip


class Watch(Struct):
    """What one process knows of one rule. Times are monotonic seconds; None: it is not so now."""

    breached_since_s: float | None = None
    right_since_s: float | None = None
    state: State = "resolved"
    #: The last known value.
    value: float = 0.0


def judge(rule: AlertRule, watch: Watch, value: float | None, now_s: float) -> State:
    """Take in a value and return what the rule says now. None: the value is not known."""
    if value is None:
        return watch.state
    watch.value = value
    if rule.is_breached(value):
        watch.right_since_s = None
        if watch.breached_since_s is None:
            watch.breached_since_s = now_s
        if now_s - watch.breached_since_s >= rule.for_s:
            watch.state = "firing"
    else:
        watch.breached_since_s = None
        if watch.right_since_s is None:
            watch.right_since_s = now_s
        if now_s - watch.right_since_s >= CLEAR_S:
            watch.state = "resolved"
    return watch.state


class Message(Struct, frozen=True):
    """A message about a rule. It names figures and pages, and nobody's private fields."""

    rule: str
    severity: Severity
    state: State
    summary: str
    value: float
    threshold: float
    at: datetime
    runbook: str
    is_test: bool = False


def message(
    rule: AlertRule, state: State, value: float, at: datetime, *, runbook_url: str
) -> Message:
    """Return the message of a rule; ``runbook_url`` goes before the name of the page."""
    return Message(
        rule=rule.name,
        severity=rule.severity,
        state=state,
        summary=rule.summary,
        value=value,
        threshold=rule.threshold,
        at=at,
        runbook=f"{runbook_url}{rule.runbook}",
    )


def title(message_: Message) -> str:
    """Return the message in one line."""
    if message_.is_test:
        return "TEST: this channel gets the alerts of Tidegate"
    word = "FIRING" if message_.state == "firing" else "RESOLVED"
    return f"{word}: {message_.summary}"


def lines(message_: Message) -> list[str]:
    """Return the message as lines of plain text."""
    if message_.is_test:
        return [title(message_), f"sent {message_.at:%Y-%m-%d %H:%M:%S} UTC"]
    return [
        title(message_),
        f"{message_.rule} ({message_.severity}): {message_.value:g}, threshold "
        f"{message_.threshold:g}",
        f"{message_.at:%Y-%m-%d %H:%M:%S} UTC",
        f"runbook: {message_.runbook}",
    ]


class RuleChange(Struct, frozen=True):
    """What the settings say of a rule; None: as it is by itself."""

    is_on: bool = True
    threshold: float | None = None
    for_s: float | None = None
    channels: tuple[str, ...] | None = None
    runbook: str | None = None


def configured(changes: Mapping[str, RuleChange]) -> list[AlertRule]:
    """Return the rules that are on, as the settings have them."""
    found = []
    for rule in RULES:
        change = changes.get(rule.name)
        if change is None:
            found.append(rule)
        elif change.is_on:
            wanted = {
                name: value
                for name in ("threshold", "for_s", "channels", "runbook")
                if (value := getattr(change, name)) is not None
            }
            found.append(msgspec.structs.replace(rule, **wanted))
    return found
