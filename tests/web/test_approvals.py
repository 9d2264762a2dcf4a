"""What takes two people: asked for by one, approved by another, judged anew."""

import asyncio
import json
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.runtime import settings as configuration
from loadtest.payers.contract import Payer
from tests.support.payers import Payers
from tests.support.site import Site
from tests.web.support import Answer, Wire, order
from tests.web.test_actions import act, history, key, paid_order
from tests.web.test_order_details import STRIPE, due, pay, place, shown


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[configuration.Account]:
    return payers.settings


@pytest.fixture
def payer(payers: Payers) -> Payer:
    return payers.accounts[STRIPE]


@pytest.fixture
async def second(site: Site) -> Wire:
    """Another person."""
    return Wire(site.host, site.port, await site.token_for("operate", "query", name="Zhang San"))


async def decide(wire: Wire, approval: str, word: str = "approve", reason: str = "seen") -> Answer:
    body = json.dumps({"reason": reason}).encode()
    return await wire.ask("POST", f"/v1/approvals/{approval}/{word}", body)


async def asked(wire: Wire, id_: str, **more: Any) -> str:
    """Ask for another street; return the approval."""
    answer = await act(wire, id_, "address", **({"street": "New Road 2"} | more))
    assert (answer.status, answer.json["outcome"]) == (202, "pending"), answer
    assert answer.headers["location"] == f"/v1/approvals/{answer.json['approval']}"
    return str(answer.json["approval"])


async def approval(wire: Wire, id_: str) -> dict[str, Any]:
    answer = await wire.ask("GET", f"/v1/approvals/{id_}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def test_a_second_person_approves_another_address(
    wire: Wire, second: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    pending = await asked(wire, id_, phone="13900139000")
    assert (await shown(wire, id_))["version"] == 1, "nothing is done yet"
    masked = (await approval(second, pending))["request"]
    assert (masked["street"], masked["phone"]) == ("***", "139****9000")
    assert (await approval(wire, pending))["request"]["street"] == "New Road 2"
    answer = await decide(second, pending)
    assert (answer.status, answer.json["version"]) == (200, 2)
    to = (await shown(wire, id_))["recipient"]
    assert (to["street"], to["phone"]) == ("New Road 2", "13900139000")
    (event,) = await history(wire, id_, "address_changed")
    assert event["actor"].startswith("test (key ")
    assert event["approved_by"].startswith("Zhang San (key ")
    assert event["address"]["before"]["street"] == content["recipient"]["street"]
    (hidden,) = await history(second, id_, "address_changed")
    assert hidden["address"]["after"] == {"street": "***", "phone": "139****9000"}
    assert (await approval(wire, pending))["state"] == "applied"
    again = await decide(second, pending)
    assert (again.status, again.body) == (200, answer.body)
    stored = await ledger.fetchval("SELECT string_agg(a::text, '') FROM approvals a")
    assert "New Road" not in stored


async def test_nobody_approves_what_they_asked_for(wire: Wire, site: Site) -> None:
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    names = ("test", "Test", "\uff34est")
    own = [Wire(site.host, site.port, await site.token_for("operate", name=n)) for n in names]
    for same in (wire, *own):
        for word in ("approve", "reject"):
            answer = await decide(same, pending, word)
            assert (answer.status, "another person" in answer.json["detail"]) == (403, True)
    assert (await shown(wire, id_))["version"] == 1
    assert (await approval(wire, pending))["state"] == "pending"


async def test_approved_many_times_at_once_it_is_done_once(wire: Wire, second: Wire) -> None:
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    answers = await asyncio.gather(*[decide(second, pending) for _ in range(6)])
    done = [answer for answer in answers if answer.status == 200]
    assert {answer.body for answer in done} == {done[0].body}
    assert {answer.status for answer in answers} <= {200, 503}, "one at a time, the rest may wait"
    assert len(await history(wire, id_, "address_changed")) == 1


async def test_what_was_approved_and_not_done_is_done_by_approving_again(
    wire: Wire, second: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """As after a gateway that died in between."""
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    await ledger.execute(
        "UPDATE approvals SET state = 'approved', decided_by = 'Zhang San (key z)',"
        " decided_at = now() WHERE id::text = $1",
        pending,
    )
    assert (await decide(second, pending)).status == 200
    assert (await shown(wire, id_))["version"] == 2
    (event,) = await history(wire, id_, "address_changed")
    assert event["approved_by"] == "Zhang San (key z)"
    assert (await approval(wire, pending))["state"] == "applied"


async def test_what_is_rejected_is_not_done(wire: Wire, second: Wire) -> None:
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    answer = await decide(second, pending, "reject", "not the buyer's voice")
    assert (answer.status, answer.json["state"]) == (200, "rejected")
    assert answer.json["decision_reason"] == "not the buyer's voice"
    late = await decide(second, pending)
    assert (late.status, late.json["detail"]) == (409, "the approval is rejected")
    assert (await shown(wire, id_))["version"] == 1


async def test_an_order_that_moved_meanwhile_is_judged_anew(
    wire: Wire, second: Wire, payer: Payer
) -> None:
    id_, _ = await paid_order(wire, payer)
    pending = await asked(wire, id_)
    await act(wire, id_, "ship", carrier="SF", tracking_no=f"D-{id_}")
    answer = await decide(second, pending)
    assert (answer.status, answer.json["type"]) == (409, "/problems/not-allowed")
    found = await approval(wire, pending)
    assert (found["state"], found["decision_reason"]) == ("failed", answer.json["detail"])


async def test_the_version_that_was_read_counts_until_the_end(
    wire: Wire, second: Wire, payer: Payer
) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    answer = await act(wire, id_, "address", ("If-Match", '"1"'), street="New Road 2")
    await pay(wire, payer, content, due(content))
    assert (await decide(second, answer.json["approval"])).status == 412


async def test_what_cannot_be_done_is_not_asked_for(wire: Wire, payer: Payer) -> None:
    id_, _ = await paid_order(wire, payer)
    await act(wire, id_, "ship", carrier="SF", tracking_no=f"E-{id_}")
    answer = await act(wire, id_, "address", street="New Road 2")
    assert (answer.status, answer.json["type"]) == (409, "/problems/not-allowed")
    listed = await wire.ask("GET", f"/v1/approvals?order={id_}")
    assert listed.json == {"approvals": []}


async def test_asked_again_it_is_the_same_approval(wire: Wire) -> None:
    id_ = await place(wire, order(channel="web"))
    assert await asked(wire, id_) == await asked(wire, id_)
    keyed = [
        await act(wire, id_, "address", key(f"a-{id_}"), street=street)
        for street in ("First Road", "First Road", "Second Road")
    ]
    assert [answer.status for answer in keyed] == [202, 202, 422]
    assert keyed[0].json["approval"] == keyed[1].json["approval"]
    listed = (await wire.ask("GET", f"/v1/approvals?order={id_}&state=pending")).json
    assert len(listed["approvals"]) == 2


async def test_repeated_under_its_key_it_says_what_became_of_it(
    wire: Wire, second: Wire, payer: Payer
) -> None:
    id_ = await place(wire, order(channel="web"))
    headers = key(f"b-{id_}")
    first = await act(wire, id_, "address", headers, street="New Road 2")
    assert (await decide(second, first.json["approval"])).status == 200
    # As it is now, it could not be asked for any more.
    await act(wire, id_, "close")
    again = await act(wire, id_, "address", headers, street="New Road 2")
    assert (again.status, again.json["outcome"]) == (200, "applied")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["approval"] == first.json["approval"]
    other = await act(wire, id_, "address", headers, street="Old Road 1")
    assert (other.status, other.json["type"]) == (422, "/problems/key-reused")


async def test_repeated_under_its_key_what_was_rejected_stays_so(wire: Wire, second: Wire) -> None:
    id_ = await place(wire, order(channel="web"))
    headers = key(f"c-{id_}")
    first = await act(wire, id_, "address", headers, street="New Road 2")
    await decide(second, first.json["approval"], "reject")
    again = await act(wire, id_, "address", headers, street="New Road 2")
    assert (again.status, again.json["detail"]) == (409, "the approval is rejected")


async def test_an_approval_expires(wire: Wire, second: Wire, site: Site) -> None:
    limits = site.gateway.limits
    limits.now = msgspec.structs.replace(limits.now, approval_s=0.001)
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    assert (await approval(wire, pending))["state"] == "expired"
    late = await decide(second, pending)
    assert (late.status, late.json["detail"]) == (409, "the approval is expired")
    listed = (await wire.ask("GET", f"/v1/approvals?order={id_}&state=expired")).json
    assert [each["id"] for each in listed["approvals"]] == [pending]


async def test_a_payment_that_was_never_told_is_made_up(
    wire: Wire, second: Wire, payer: Payer
) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    amount = f"{due(content):.2f}"
    answer = await act(
        wire, id_, "make-up-payment", provider="wechatpay", transaction_id=f"W-{id_}",
        amount=amount, paid_at="2026-11-23T10:00:00+08:00", evidence="statement of 23 November, 7",
    )  # fmt: skip
    assert answer.status == 202
    done = await decide(second, answer.json["approval"])
    assert (done.status, done.json["status"]) == (200, "paid")
    found = await shown(wire, id_)
    (payment,) = found["payments"]
    assert (payment["provider"], payment["account"]) == ("wechatpay", "by person")
    assert (found["amounts"]["paid"], found["paid_at"]) == (amount, "2026-11-23T02:00:00Z")
    (event,) = await history(wire, id_, "payment_succeeded")
    assert event["detail"] == "a reason; evidence: statement of 23 November, 7"


async def test_an_order_is_amended_by_two(wire: Wire, second: Wire, payer: Payer) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    item = content["items"][0] | {"quantity": 1, "unit_price": "10.00", "discount": "0"}
    wanted = {"items": [item], "amounts": {"goods": "10.00", "payable": "10.00"}}
    wrong = await act(wire, id_, "amend", **wanted | {"amounts": {"goods": "9", "payable": "9"}})
    assert (wrong.status, wrong.fields) == (422, ["amounts.goods"])
    pending = (await act(wire, id_, "amend", **wanted)).json["approval"]
    assert (await decide(second, pending)).status == 200
    found = await shown(wire, id_)
    assert (found["amounts"]["payable"], found["items"][0]["quantity"]) == ("10.00", 1)
    again = await wire.submit(json.dumps(content).encode())
    assert (again.status, again.json["id"]) == (200, id_), "what was submitted is still a repeat"


@pytest.mark.parametrize(
    ("above", "action", "is_pending"),
    [("", "refund", True), ("CNY 9.99", "refund", True), ("CNY 10.00", "refund", False)],
)
async def test_a_refund_above_the_limit_takes_two(
    wire: Wire, payer: Payer, site: Site, above: str, action: str, is_pending: bool
) -> None:
    limits = site.gateway.limits
    limits.now = msgspec.structs.replace(limits.now, approval_above=above)
    id_, _ = await paid_order(wire, payer)
    (payment,) = (await shown(wire, id_))["payments"]
    answer = await act(
        wire, id_, action, transaction_id=payment["transaction_id"], refund_no="B-1",
        amount="10.00",
    )  # fmt: skip
    assert answer.json["outcome"] == ("pending" if is_pending else "applied")


@pytest.mark.parametrize(("above", "is_pending"), [("", False), ("CNY 1.00", True)])
async def test_a_release_above_the_limit_takes_two(
    wire: Wire, site: Site, above: str, is_pending: bool
) -> None:
    limits = site.gateway.limits
    limits.now = msgspec.structs.replace(limits.now, approval_above=above)
    id_ = await place(wire, order(channel="web"))
    await act(wire, id_, "hold")
    answer = await act(wire, id_, "release")
    assert answer.json["outcome"] == ("pending" if is_pending else "applied")


async def test_approvals_are_those_of_the_keys_channels(wire: Wire, site: Site) -> None:
    id_ = await place(wire, order(channel="web"))
    pending = await asked(wire, id_)
    token = await site.token_for("operate", name="Li Si", channels=["app"])
    other = Wire(site.host, site.port, token)
    assert (await other.ask("GET", f"/v1/approvals/{pending}")).status == 404
    assert (await other.ask("GET", "/v1/approvals")).json == {"approvals": []}
    assert (await decide(other, pending)).status == 404
    assert (await other.ask("GET", "/v1/approvals?state=odd")).fields == ["state"]
