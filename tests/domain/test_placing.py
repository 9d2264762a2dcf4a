"""``judge`` is the idempotency table: what arrives, what it meets, what it is answered."""

from typing import Any

import pytest

from gateway.domain import placing
from gateway.domain.channels import LookalikePolicy
from gateway.domain.placing import (
    Answer,
    ExistingOrder,
    Insert,
    Matches,
    Placed,
    Placement,
)
from tests.domain.support import due, new_id, placement

POLICIES: tuple[LookalikePolicy, ...] = ("hold", "replay", "off")

SENT = due(1)


def known(of: Placement, **changes: Any) -> ExistingOrder:
    """Return the order that ``of`` became, paid since."""
    made: dict[str, Any] = {
        "id": of.id,
        "channel": of.submission.channel,
        "order_no": of.submission.order_no,
        "payload_digest": of.payload_digest,
        "status": "paid",
        "version": 2,
        "placed_hold": None,
        "lookalike": of.lookalike,
        "request_id": of.request_id,
        "received_at": of.received_at,
    }
    return ExistingOrder(**made | changes)


def answered(verdict: Placed | Insert) -> Answer | str:
    """Name a verdict: the answer, or ``insert`` with its hold."""
    return verdict.answer if isinstance(verdict, Placed) else f"insert {verdict.hold}"


SAME = known(placement(SENT))
OTHER = known(placement(due(2)))


def found(**names: str) -> Matches:
    """Return what was met by each way: ``same`` or ``other`` as to the payload."""
    finds = {"same": SAME, "other": OTHER}
    return Matches(**{way: finds[which] for way, which in names.items()})


TABLE: list[tuple[str | None, LookalikePolicy, Matches, str]] = [
    # Nothing met: it is new.
    *[(None, policy, found(), "insert None") for policy in POLICIES],
    *[("r-1", policy, found(), "insert None") for policy in POLICIES],
    # The same request id.
    *[("r-1", policy, found(by_request_id="same"), "replayed") for policy in POLICIES],
    *[("r-1", policy, found(by_request_id="other"), "key_reused") for policy in POLICIES],
    # The same channel and order number, with and without a request id of its own.
    *[(None, policy, found(by_order_no="same"), "replayed") for policy in POLICIES],
    *[("r-2", policy, found(by_order_no="same"), "replayed") for policy in POLICIES],
    *[(None, policy, found(by_order_no="other"), "conflict") for policy in POLICIES],
    *[("r-2", policy, found(by_order_no="other"), "conflict") for policy in POLICIES],
    # The request id speaks before the number, and the number before the looks.
    ("r-1", "hold", found(by_request_id="same", by_order_no="other"), "replayed"),
    ("r-1", "hold", found(by_request_id="other", by_order_no="same"), "key_reused"),
    ("r-1", "hold", found(by_request_id="other", by_lookalike="same"), "key_reused"),
    (None, "hold", found(by_order_no="other", by_lookalike="same"), "conflict"),
    ("r-2", "replay", found(by_order_no="other", by_lookalike="same"), "conflict"),
    # Who sent no request id met an order without one: that is no claim on its id.
    (None, "hold", found(by_request_id="other"), "insert None"),
    # A look-alike without a request id is a double click, whatever the policy.
    *[(None, policy, found(by_lookalike="other"), "replayed") for policy in POLICIES],
    # A look-alike with a request id of its own goes by the channel's policy.
    ("r-2", "hold", found(by_lookalike="other"), "insert lookalike"),
    ("r-2", "replay", found(by_lookalike="other"), "replayed"),
    ("r-2", "off", found(by_lookalike="other"), "insert None"),
]


@pytest.mark.parametrize(("request_id", "policy", "met", "expected"), TABLE)
def test_every_row_of_the_table_has_its_answer(
    request_id: str | None, policy: LookalikePolicy, met: Matches, expected: str
) -> None:
    sent = placement(SENT, request_id=request_id, policy=policy)
    assert answered(placing.judge(sent, met)) == expected


def test_a_replay_tells_how_the_order_stood_when_it_was_placed() -> None:
    before = known(placement(SENT), placed_hold="suspected_brushing", id=new_id())
    verdict = placing.judge(placement(SENT), Matches(by_order_no=before))
    assert verdict == Placed("replayed", before.id, "web", before.order_no, "suspected_brushing")


@pytest.mark.parametrize("way", ["by_request_id", "by_order_no"])
def test_a_rejection_shows_the_conflicting_order_as_it_is_now(way: str) -> None:
    verdict = placing.judge(placement(SENT, request_id="r-1"), Matches(**{way: OTHER}))
    assert isinstance(verdict, Placed)
    shown = (verdict.id, verdict.order_no, verdict.status, verdict.version, verdict.payload_digest)
    assert shown == (OTHER.id, OTHER.order_no, "paid", 2, OTHER.payload_digest)
