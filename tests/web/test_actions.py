"""POST /v1/orders/{id}/ship and the like: what is done, refused and undone."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.runtime import settings as configuration
from loadtest.payers.contract import Payer
from tests.support.payers import Payers
from tests.support.site import Site
from tests.web.support import Answer, Wire, order
from tests.web.test_order_details import STRIPE, due, listed, lookalike, pay, place, shown


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[configuration.Account]:
    return payers.settings


@pytest.fixture
def payer(payers: Payers) -> Payer:
    return payers.accounts[STRIPE]


async def act(wire: Wire, id_: str, action: str, *headers: tuple[str, str], **body: Any) -> Answer:
    content = json.dumps({"reason": "a reason", **body}).encode()
    method = "PATCH" if action == "address" else "POST"
    return await wire.ask(method, f"/v1/orders/{id_}/{action}", content, headers)


async def history(wire: Wire, id_: str, action: str) -> list[Mapping[str, Any]]:
    events = (await wire.ask("GET", f"/v1/orders/{id_}/events")).json["events"]
    return [each for each in events if each["action"] == action]


async def paid_order(wire: Wire, payer: Payer, **changes: Any) -> tuple[str, dict[str, Any]]:
    content = order(channel="web", **changes)
    id_ = await place(wire, content)
    await pay(wire, payer, content, due(content))
    return id_, content


def key(name: str) -> tuple[str, str]:
    return "Idempotency-Key", name


def state(answer: Answer) -> tuple[int, str | None, str | None]:
    return answer.status, answer.json.get("status"), answer.json.get("hold")


async def test_an_order_is_shipped_by_hand_and_arrives(wire: Wire, payer: Payer) -> None:
    id_, content = await paid_order(wire, payer)
    line = {"sku": content["items"][0]["sku"], "quantity": 1}
    answer = await act(wire, id_, "ship", carrier="SF", tracking_no=f"SF-{id_}", lines=[line])
    assert state(answer) == (200, "shipped", None)
    assert answer.json["outcome"] == "applied"
    again = await act(wire, id_, "ship", carrier="SF", tracking_no=f"SF-{id_}")
    assert (again.status, again.json) == (200, answer.json), "the same parcel"
    (parcel,) = (await shown(wire, id_))["parcels"]
    assert (parcel["carrier"], parcel["lines"]) == ("SF", [line])
    assert await listed(wire, tracking_no=f"SF-{id_}") == [content["order_no"]]
    arrived = await act(wire, id_, "deliver", tracking_no=f"SF-{id_}")
    assert state(arrived) == (200, "completed", None)
    (event,) = await history(wire, id_, "shipped")
    assert (event["outcome"], event["detail"]) == ("applied", "a reason")
    assert event["actor"].startswith("test (key ")
    assert event["trigger"].startswith("key:")


async def test_a_parcel_that_did_not_leave_is_taken_back(wire: Wire, payer: Payer) -> None:
    id_, _ = await paid_order(wire, payer)
    await act(wire, id_, "ship", carrier="SF", tracking_no="A-1")
    answer = await act(wire, id_, "cancel-parcel", tracking_no="A-1")
    assert state(answer) == (200, "paid", None)
    found = await shown(wire, id_)
    assert (found["tracking_no"], found["shipped_at"]) == (None, None)
    assert found["parcels"][0]["cancelled_at"] is not None
    assert state(await act(wire, id_, "ship", carrier="SF", tracking_no="A-1"))[1] == "shipped"


async def test_what_is_not_allowed_says_what_would_be(wire: Wire, payer: Payer) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    answer = await act(wire, id_, "ship", carrier="SF", tracking_no="B-1")
    assert (answer.status, answer.json["type"]) == (409, "/problems/not-allowed")
    assert "while the order is pending_payment" in answer.json["detail"]
    assert answer.json["context"] == {
        "id": id_, "status": "pending_payment", "version": 1, "hold": None,
        "allowed": ["close", "hold", "make-up-payment", "amend", "address"],
    }  # fmt: skip
    assert await history(wire, id_, "shipped") == [], "a refusal leaves no trace"


async def test_a_person_holds_an_order_and_releases_it(
    wire: Wire, payer: Payer, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    id_, content = await paid_order(wire, payer)
    assert state(await act(wire, id_, "hold")) == (200, "paid", "by_person")
    assert content["order_no"] in await listed(wire, hold="by_person")
    stopped = await act(wire, id_, "ship", carrier="SF", tracking_no="C-1")
    assert (stopped.status, "ship" in stopped.json["context"]["allowed"]) == (409, False)
    assert state(await act(wire, id_, "release")) == (200, "paid", None)
    assert state(await act(wire, id_, "hold")) == (200, "paid", "by_person"), "and once more"
    assert state(await act(wire, id_, "release")) == (200, "paid", None)
    topics = await ledger.fetch(
        "SELECT topic FROM outbox WHERE order_id::text = $1 ORDER BY version", id_
    )
    assert [row["topic"] for row in topics][-4:] == ["order.changed", "order.paid"] * 2


async def test_one_release_ends_both_holds(wire: Wire) -> None:
    id_, _ = await lookalike(wire)
    assert state(await act(wire, id_, "hold"))[2] == "by_person"
    assert state(await act(wire, id_, "release"))[2] is None


async def test_an_order_is_closed_and_reopened(wire: Wire, payer: Payer) -> None:
    id_, _ = await paid_order(wire, payer)
    assert state(await act(wire, id_, "close")) == (200, "cancelling", "refund_owed")
    assert state(await act(wire, id_, "close")) == (200, "cancelling", "refund_owed")
    assert state(await act(wire, id_, "reopen")) == (200, "paid", None)
    assert (await act(wire, id_, "reopen")).status == 200
    unpaid = await place(wire, order(channel="web"))
    assert state(await act(wire, unpaid, "close"))[1] == "closed"
    assert state(await act(wire, unpaid, "reopen"))[1] == "pending_payment"


# --- versions and keys ---


async def test_only_the_version_that_was_read_is_changed(wire: Wire, payer: Payer) -> None:
    id_, _ = await paid_order(wire, payer)
    stale = await act(wire, id_, "hold", ("If-Match", '"1"'))
    assert (stale.status, stale.json["type"]) == (412, "/problems/version-changed")
    assert stale.json["context"]["version"] == 2
    assert (await act(wire, id_, "hold", ("If-Match", '"2"'))).status == 200
    assert (await act(wire, id_, "hold", ("If-Match", '"2"'))).status == 200, "it is so already"
    assert (await act(wire, id_, "hold", ("If-Match", "2"))).status == 400


async def test_of_many_at_once_one_changes_the_version_that_all_read(
    wire: Wire, payer: Payer
) -> None:
    id_, _ = await paid_order(wire, payer)
    answers = await asyncio.gather(
        *[
            act(wire, id_, "ship", ("If-Match", '"2"'), carrier="SF", tracking_no=f"F{n}-{id_}")
            for n in range(8)
        ]
    )
    assert sorted(answer.status for answer in answers) == [200, *[412] * 7]
    assert len((await shown(wire, id_))["parcels"]) == 1


async def test_of_many_with_one_key_one_takes_effect(wire: Wire, payer: Payer) -> None:
    id_, _ = await paid_order(wire, payer)
    answers = await asyncio.gather(*[act(wire, id_, "close", key(f"c-{id_}")) for _ in range(8)])
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert len(await history(wire, id_, "cancelled")) == 1


async def test_a_key_makes_a_repeat_answer_the_same(wire: Wire, payer: Payer, site: Site) -> None:
    id_, _ = await paid_order(wire, payer)
    first = await act(wire, id_, "hold", key(f"k-{id_}"))
    await act(wire, id_, "release")
    again = await act(wire, id_, "hold", key(f"k-{id_}"))
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await shown(wire, id_))["hold"] is None, "no second effect"
    other = await act(wire, id_, "hold", key(f"k-{id_}"), reason="another")
    assert (other.status, other.json["type"]) == (422, "/problems/key-reused")
    elsewhere = await act(wire, id_, "close", key(f"k-{id_}"))
    assert elsewhere.status == 422, "nor for another action"
    token = await site.token_for("operate")
    mine = await act(Wire(site.host, site.port, token), id_, "hold", key(f"k-{id_}"))
    assert (mine.status, mine.json["version"]) == (200, first.json["version"] + 2), "of another key"


# --- money ---


async def test_a_refund_that_was_made_another_way(wire: Wire, payer: Payer, site: Site) -> None:
    """Without a limit for its currency it takes two people; see the approvals."""
    limits = site.gateway.limits
    limits.now = msgspec.structs.replace(limits.now, approval_above="CNY 50.00")
    id_, _ = await paid_order(wire, payer)
    (payment,) = (await shown(wire, id_))["payments"]
    told = {"transaction_id": payment["transaction_id"], "refund_no": "B-1", "amount": "20.00"}
    answer = await act(wire, id_, "refund", **told)
    assert state(answer) == (200, "paid", None)
    assert (await act(wire, id_, "refund", **told)).json == answer.json, "the same refund"
    other = await act(wire, id_, "refund", **told | {"amount": "30.00"})
    assert (other.status, other.json["detail"]) == (409, "refund B-1 is recorded with 20.00 CNY")
    assert (await shown(wire, id_))["amounts"]["refunded"] == "20.00"
    unknown = await act(wire, id_, "refund", **told | {"transaction_id": "T-0"})
    assert unknown.status == 409


# --- what is wrong ---


@pytest.mark.parametrize(
    ("action", "body", "fields"),
    [
        ("ship", {"carrier": "SF"}, ["tracking_no"]),
        ("ship", {"carrier": "S\nF", "tracking_no": "1"}, ["carrier"]),
        ("ship", {"carrier": "SF", "tracking_no": "a b"}, ["tracking_no"]),
        (
            "ship",
            {"carrier": "SF", "tracking_no": "1", "lines": [{"sku": "no", "quantity": 1}]},
            ["lines[0].quantity"],
        ),
        (
            "ship",
            {"carrier": "SF", "tracking_no": "1", "shipped_at": "2099-01-01T00:00:00Z"},
            ["shipped_at"],
        ),
        ("hold", {"reason": ""}, ["reason"]),
        ("hold", {"reason": "a\u0000b"}, ["reason"]),
        ("hold", {"more": 1}, ["more"]),
        ("refund", {"transaction_id": "T", "refund_no": "R", "amount": "0"}, ["amount"]),
        ("refund", {"transaction_id": "T", "refund_no": "R", "amount": "1e2"}, ["amount"]),
        ("refund", {"transaction_id": "T", "refund_no": "R", "amount": "0.001"}, ["amount"]),
        ("address", {}, ["body"]),
        ("address", {"country": "ZZ"}, ["country"]),
        ("address", {"street": " "}, ["street"]),
        ("amend", {"items": [], "amounts": {"goods": "1", "payable": "1"}}, ["items"]),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(
    wire: Wire, action: str, body: dict[str, Any], fields: list[str]
) -> None:
    id_ = await place(wire, order(channel="web"))
    answer = await act(wire, id_, action, **body)
    assert (answer.status, answer.fields) == (422, fields)
    assert (await shown(wire, id_))["version"] == 1


async def test_who_may_not_operate_does_nothing(wire: Wire, site: Site) -> None:
    id_ = await place(wire, order(channel="web"))
    for roles, channels, status in (
        (("ingest", "query_pii"), [], 403),
        (("operate",), ["app"], 404),
        (("admin",), [], 200),
    ):
        token = await site.token_for(*roles, channels=channels)
        answer = await act(Wire(site.host, site.port, token), id_, "hold")
        assert answer.status == status, roles


async def test_a_parcel_does_not_hold_more_than_was_ordered(wire: Wire, payer: Payer) -> None:
    id_, content = await paid_order(wire, payer)
    (item, *_) = content["items"]
    line = {"sku": item["sku"], "quantity": item["quantity"]}
    answer = await act(wire, id_, "ship", carrier="SF", tracking_no=f"L-{id_}", lines=[line, line])
    assert (answer.status, answer.fields) == (422, ["lines[1].quantity"])
