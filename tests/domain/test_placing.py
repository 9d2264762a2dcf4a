"""``judge`` is the idempotency table: what arrives, what it meets, what it is answered."""

from typing import Any

import msgspec
import pytest

from gateway.domain import placing
from gateway.domain.channels import ChannelPolicy, LookalikePolicy
from gateway.domain.placing import (
    Alias,
    Answer,
    ExistingOrder,
    Insert,
    Matches,
    Placed,
    Placement,
)
from tests.domain.support import due, new_id, placement

POLICIES: tuple[LookalikePolicy, ...] = ("hold", "replay", "off")

#: What a look-alike is that is no double click.
BY_POLICY: dict[LookalikePolicy, str] = {
    "hold": "insert lookalike",
    "replay": "alias",
    "off": "insert None",
}

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


def answered(verdict: Placed | Insert | Alias) -> Answer | str:
    """Name a verdict: the answer, ``insert`` with its hold, or ``alias``."""
    match verdict:
        case Placed():
            return verdict.answer
        case Insert():
            return f"insert {verdict.hold}"
        case Alias():
            return "alias"


SAME = known(placement(SENT))
OTHER = known(placement(due(2)))


def found(apart_s: float = 0.0, /, **names: str) -> Matches:
    """Return what was met by each way: ``same`` or ``other`` as to the payload."""
    finds = {"same": SAME, "other": OTHER}
    matches = {way: finds[which] for way, which in names.items()}
    return msgspec.structs.replace(Matches(), apart_s=apart_s, **matches)


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
    # A look-alike without a request id is a double click for ten seconds, whatever the policy.
    *[(None, policy, found(by_lookalike="other"), "alias") for policy in POLICIES],
    *[(None, policy, found(9.9, by_lookalike="other"), "alias") for policy in POLICIES],
    # After that, and with a request id of its own at any time, it goes by the channel's policy.
    *[
        (request_id, policy, found(apart_s, by_lookalike="other"), expected)
        for policy, expected in BY_POLICY.items()
        for request_id, apart_s in ((None, 10.0), (None, 599.0), ("r-2", 0.0), ("r-2", 599.0))
    ],
]


@pytest.mark.parametrize(("request_id", "policy", "met", "expected"), TABLE)
def test_every_row_of_the_table_has_its_answer(
    request_id: str | None, policy: LookalikePolicy, met: Matches, expected: str
) -> None:
    sent = placement(SENT, request_id=request_id, policy=policy)
    assert answered(placing.judge(sent, met)) == expected


#: A shop's order is one of its own, whatever it looks like.
OF_A_SHOP: dict[LookalikePolicy, str] = BY_POLICY | {"replay": "insert lookalike"}


@pytest.mark.parametrize("apart_s", [0.0, 9.9, 10.0, 599.0])
@pytest.mark.parametrize("policy", POLICIES)
def test_an_order_of_a_shop_is_never_a_double_click(
    policy: LookalikePolicy, apart_s: float
) -> None:
    sent = msgspec.structs.replace(placement(SENT, policy=policy), is_from_shop=True)
    verdict = placing.judge(sent, found(apart_s, by_lookalike="other"))
    assert answered(verdict) == OF_A_SHOP[policy]


@pytest.mark.parametrize(("apart_s", "is_alias"), [(0.0, False), (29.9, True), (30.0, False)])
def test_each_channel_says_how_long_a_double_click_takes(apart_s: float, is_alias: bool) -> None:
    policy = ChannelPolicy(lookalike_window_s=30 if apart_s else 0)
    sent = msgspec.structs.replace(placement(SENT), policy=policy)
    verdict = placing.judge(sent, found(apart_s, by_lookalike="other"))
    assert isinstance(verdict, Alias) is is_alias


def test_what_is_held_as_a_look_alike_names_the_order_that_it_looks_like() -> None:
    sent = placement(SENT, request_id="r-2")
    assert placing.judge(sent, found(by_lookalike="other")) == Insert("lookalike", OTHER.order_no)


def test_a_replay_tells_how_the_order_stood_when_it_was_placed() -> None:
    before = known(placement(SENT), placed_hold="suspected_brushing", id=new_id())
    verdict = placing.judge(placement(SENT), Matches(by_order_no=before))
    assert verdict == Placed("replayed", before.id, "web", before.order_no, "suspected_brushing")


@pytest.mark.parametrize("way", ["by_request_id", "by_order_no"])
def test_a_rejection_shows_the_conflicting_order_as_it_is_now(way: str) -> None:
    verdict = placing.judge(placement(SENT, request_id="r-1"), found(**{way: "other"}))
    assert isinstance(verdict, Placed)
    shown = (verdict.id, verdict.order_no, verdict.status, verdict.version, verdict.payload_digest)
    assert shown == (OTHER.id, OTHER.order_no, "paid", 2, OTHER.payload_digest)
