"""The verdict in figures: messages by standing, and the two numbers that must be 0."""

from collections import Counter

import msgspec

from loadtest.history import JOURNALED, History, standing
from loadtest.ledger_contents import Stored


class Tally(msgspec.Struct, frozen=True):
    """Orders and callbacks, each counted once, regardless of repeats."""

    acknowledged: int
    #: Of the acknowledged ones, orders that were answered 202.
    journaled: int
    refused: int
    unknown: int
    #: Acknowledged, and not stored.
    lost: int
    #: Stored with more than one effect, regardless of the answers.
    twice: int


def count(history: History, stored: Stored) -> Tally:
    """Count the messages of the history, with their effects in the ledger."""
    orders, callbacks = list(history.orders.values()), history.callbacks
    answers = [order.answers for order in orders] + [sent.answers for sent in callbacks]
    standings = Counter(map(standing, answers))
    rows = Counter((row.channel, row.order_no) for row in stored.orders)
    events = Counter((event.source, event.source_key) for event in stored.events)
    applied = Counter(row.order_id for row in stored.payments if row.standing == "applied")
    lost = sum(
        standing(order.answers) == "acknowledged" and not rows[order.channel, order.order_no]
        for order in orders
    )
    lost += sum(
        standing(sent.answers) == "acknowledged"
        and not all(events[sent.source, key] for key in sent.keys)
        for sent in callbacks
    )
    return Tally(
        acknowledged=standings["acknowledged"],
        journaled=sum(
            any(answer.status == JOURNALED for answer in order.answers) for order in orders
        ),
        refused=standings["refused"],
        unknown=standings["unknown"],
        lost=lost,
        twice=sum(number > 1 for each in (rows, events, applied) for number in each.values()),
    )
