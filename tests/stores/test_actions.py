"""Actions in the ledger: addresses sealed, answers kept, all of it in one transaction."""

import json
from typing import Any

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.asking import Action, Asked
from gateway.domain.following import Done, FollowUp
from gateway.stores.sealing import Sealer
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, follow_up, paid
from tests.stores.support import Database, order, submit, tell

CHANGE = {"reason": "they moved", "phone": "13900139000", "street": "New Road 2", "city": "Ningbo"}


async def do(gateway: Gateway, event: events.Event, name: Action, key: str, **more: Any) -> Done:
    """Apply an action to order W-1, as its handler does."""
    raw = more.pop("raw", b"{}")
    order_id = more.pop("order_id")
    asked = Asked(name, order_id, "Li Wei (key k)", "a reason", more.pop("digest", "d"), **more)
    entry: FollowUp = follow_up(
        event, key, id=gateway.new_id(), source="action", provider="", raw=raw, asked=asked
    )
    return await gateway.intake.accept_event(entry)


def opened(gateway: Gateway, place: str, row: bytes, envelope: bytes) -> Any:
    sealer: Sealer = gateway.stores.sealer
    return json.loads(sealer.open(place, row, envelope))


async def test_a_new_address_is_sealed_and_its_change_is_kept(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1", remark="ring twice"))
    before = await order(ledger, "W-1")
    was = opened(gateway, "orders.private", placed.id.bytes, before["private"])
    event = events.AddressChanged("W-1", ("phone", "street", "city"), NOW)
    done = await do(
        gateway, event, "address", "k-1", order_id=placed.id, raw=json.dumps(CHANGE).encode()
    )
    assert (done.outcome, done.version) == ("applied", 2)
    stored = await order(ledger, "W-1")
    private = opened(gateway, "orders.private", placed.id.bytes, stored["private"])
    assert private == was | {"phone": "13900139000", "street": "New Road 2"}
    assert (stored["city"], stored["province"]) == ("Ningbo", before["province"])
    assert stored["phone_index"] == gateway.stores.sealer.phone_index("+8613900139000")
    (log,) = await ledger.fetch("SELECT * FROM address_changes")
    found = opened(gateway, "address_changes.change", log["id"].bytes, log["change"])
    assert found["before"]["street"] == was["street"]
    assert found["after"] == {"phone": "13900139000", "street": "New Road 2", "city": "Ningbo"}
    (topic,) = await ledger.fetch("SELECT topic FROM outbox WHERE version = 2")
    assert topic[0] == "order.changed"
    plain = await ledger.fetchval("SELECT string_agg(e::text, '') FROM order_events e")
    assert "New Road" not in plain
    assert "13900139000" not in plain


async def test_an_address_that_cannot_be_opened_is_not_changed(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    await ledger.execute("UPDATE orders SET private = $1", b"damaged")
    event = events.AddressChanged("W-1", ("street",), NOW)
    raw = json.dumps(CHANGE).encode()
    done = await do(gateway, event, "address", "k-1", order_id=placed.id, raw=raw)
    assert done.refusal is not None
    assert done.refusal.kind == "unreadable"
    assert await ledger.fetchval("SELECT count(*) FROM address_changes") == 0


async def test_two_addresses_in_one_batch_are_changed_one_after_the_other(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    for key, fields in (("k-1", {"street": "First Road"}), ("k-2", {"name": "Wang Wu"})):
        event = events.AddressChanged("W-1", tuple(fields), NOW)
        raw = json.dumps({"reason": "r", **fields}).encode()
        await do(gateway, event, "address", key, order_id=placed.id, raw=raw)
    stored = await order(ledger, "W-1")
    private = opened(gateway, "orders.private", placed.id.bytes, stored["private"])
    assert (private["street"], private["name"]) == ("First Road", "Wang Wu")


async def test_a_repeat_is_answered_from_the_ledger_whatever_happened_since(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    held = events.HeldByPerson("W-1", "look", NOW)
    first = await do(gateway, held, "hold", "k-1", order_id=placed.id)
    await tell(gateway, paid())
    again = await do(gateway, held, "hold", "k-1", order_id=placed.id)
    assert (first.version, again.version, again.status) == (2, 2, "pending_payment")
    assert (again.outcome, again.hold) == ("repeat", "by_person")
    other = await do(gateway, held, "hold", "k-1", order_id=placed.id, digest="another")
    assert other.refusal is not None
    assert other.refusal.kind == "key_reused"
    assert await ledger.fetchval("SELECT count(*) FROM order_events WHERE action = 'held'") == 1


async def test_who_did_it_is_in_the_history(gateway: Gateway, ledger: Database) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    held = events.HeldByPerson("W-1", "look", NOW)
    await do(gateway, held, "hold", "k-1", order_id=placed.id, approved_by="Zhang San (key z)")
    (row,) = await ledger.fetch("SELECT * FROM order_events WHERE action = 'held'")
    assert (row["actor"], row["approved_by"]) == ("Li Wei (key k)", "Zhang San (key z)")
    assert row["detail"] == "look; a reason"


async def test_an_amendment_of_a_person_leaves_what_repeats_are_told_by(
    gateway: Gateway, ledger: Database
) -> None:
    sent = due(1, order_no="W-1")
    placed = await submit(gateway, sent)
    cheaper = msgspec.structs.replace(sent.amounts, goods=sent.amounts.goods - 1)
    cheaper = msgspec.structs.replace(cheaper, payable=cheaper.goods)
    event = events.Amended("W-1", "CNY", cheaper, tuple(sent.items), "", NOW)
    done = await do(gateway, event, "amend", "k-1", order_id=placed.id)
    assert done.outcome == "applied"
    stored = await order(ledger, "W-1")
    assert stored["payable"] == cheaper.payable
    again = await submit(gateway, sent)
    assert (again.id, again.answer) == (placed.id, "replayed")


@pytest.mark.parametrize("is_trial", [True, False])
async def test_a_trial_and_a_refusal_write_nothing(
    gateway: Gateway, ledger: Database, is_trial: bool
) -> None:
    placed = await submit(gateway, due(1, order_no="W-1"))
    event: events.Event = events.Shipped("W-1", "SF", "SF-1", NOW)
    name: Action = "ship"
    if is_trial:
        event, name = events.HeldByPerson("W-1", "look", NOW), "hold"
    done = await do(gateway, event, name, "k-1", order_id=placed.id, is_trial=is_trial)
    assert done.outcome == ("noted" if is_trial else "refused")
    assert await ledger.fetchval("SELECT count(*) FROM order_events") == 1
    assert await ledger.fetchval("SELECT count(*) FROM action_answers") == 0
    assert (await order(ledger, "W-1"))["version"] == 1
