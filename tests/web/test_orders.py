"""POST /v1/orders: its answers, idempotency keys, API keys and faults."""

import asyncio
import itertools
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import ROLES, Role
from tests.support.site import Site
from tests.web.support import (
    Answer,
    Wire,
    check,
    edited,
    order,
    order_bytes,
    with_token,
    without,
)

_KEY = "Idempotency-Key"


#: Idempotency keys do not expire, so each test has its own.
_serial = itertools.count()


@pytest.fixture
def request_id() -> str:
    return f"r-{next(_serial)}"


@pytest.fixture
def wire(both_paths: Wire) -> Wire:
    return both_paths


async def test_a_new_order_is_answered_with_its_location(wire: Wire) -> None:
    sent = order()
    answer = await wire.submit(json.dumps(sent).encode())
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in answer.headers
    result = answer.json
    assert uuid.UUID(result.pop("id")).version == 7
    assert result == {
        "channel": "web",
        "order_no": sent["order_no"],
        "status": "pending_payment",
        "version": 1,
        "hold": None,
    }
    found = await wire.ask("GET", answer.headers["location"])
    assert found.json["order_no"] == sent["order_no"]


async def test_a_repeat_gets_the_original_result_marked_as_replayed(wire: Wire) -> None:
    body = order_bytes()
    first = await wire.submit(body)
    for _ in range(2):
        again = await wire.submit(body)
        assert again.status == 200
        assert again.body == first.body
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"


async def test_reordered_json_keys_and_blanks_make_no_other_order(wire: Wire) -> None:
    sent = order()
    first = await wire.submit(json.dumps(sent).encode())
    turned = dict(reversed(sent.items()))
    again = await wire.submit(json.dumps(turned, indent=3).encode())
    assert (again.status, again.body) == (200, first.body)


async def test_a_taken_order_number_shows_both_orders(wire: Wire) -> None:
    sent = order()
    first = await wire.submit(json.dumps(sent).encode())
    answer = await wire.submit(json.dumps(sent | {"buyer_id": "another"}).encode())
    assert answer.status == 409
    assert answer.json["type"] == "/problems/conflict"
    existing, submitted = (answer.json["context"][name] for name in ("existing", "submitted"))
    assert existing["id"] == first.json["id"]
    assert existing["order_no"] == submitted["order_no"] == sent["order_no"]
    assert existing["payload_digest"] != submitted["payload_digest"]


async def test_a_reused_request_id_is_rejected(wire: Wire, request_id: str) -> None:
    first = await wire.submit(order_bytes(), {_KEY: request_id})
    answer = await wire.submit(order_bytes(), {_KEY: request_id})
    assert answer.status == 422
    assert answer.json["type"] == "/problems/key-reused"
    assert answer.json["context"]["existing"]["id"] == first.json["id"]


async def test_concurrent_conflicts_are_all_rejected(wire: Wire, request_id: str) -> None:
    sent = order()
    await wire.submit(json.dumps(sent).encode(), {_KEY: request_id})
    other = json.dumps(sent | {"buyer_id": "another"}).encode()
    conflicts = await asyncio.gather(*[wire.submit(other) for _ in range(8)])
    assert [answer.status for answer in conflicts] == [409] * 8
    reused = order_bytes()
    answers = await asyncio.gather(*[wire.submit(reused, {_KEY: request_id}) for _ in range(8)])
    assert [answer.status for answer in answers] == [422] * 8


async def test_concurrent_repeats_make_one_order(wire: Wire, request_id: str) -> None:
    body = order_bytes()
    answers = await asyncio.gather(*[wire.submit(body, {_KEY: request_id}) for _ in range(20)])
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 19}
    assert len({answer.body for answer in answers}) == 1


async def test_quotes_around_a_request_id_do_not_count(wire: Wire, request_id: str) -> None:
    body = order_bytes()
    first = await wire.submit(body, {_KEY: f'"{request_id}"'})
    again = await wire.submit(body, {_KEY: request_id})
    assert (first.status, again.status) == (201, 200)


async def test_an_invalid_request_id_is_named(wire: Wire, request_id: str) -> None:
    for bad in ("", '""', "x" * 256, '"' + "x" * 256 + '"', "\xe9", "a\tb"):
        answer = await wire.submit(order_bytes(), {_KEY: bad})
        assert answer.status == 400, bad
        assert answer.fields == [_KEY], bad
    twice = await wire.submit(order_bytes(), [(_KEY, "a"), (_KEY, "a")])
    assert twice.status == 400
    assert _KEY in twice.json["detail"]
    longest = await wire.submit(order_bytes(), {_KEY: '"' + request_id.ljust(255, "x") + '"'})
    assert longest.status == 201


async def test_a_request_id_belongs_to_its_channel(wire: Wire, request_id: str) -> None:
    answers = [
        await wire.submit(order_bytes(channel=channel), {_KEY: request_id})
        for channel in ("web", "app")
    ]
    assert [answer.status for answer in answers] == [201, 201]


async def test_a_key_submits_for_its_own_channels_only(site: Site, wire: Wire) -> None:
    wire.token = await site.token_for("ingest", channels=["app"])
    answer = await wire.submit(order_bytes())
    assert answer.status == 403
    assert answer.fields == ["channel"]
    assert (await wire.submit(order_bytes(channel="app"))).status == 201


async def test_every_route_requires_its_role(site: Site, wire: Wire) -> None:
    placed = await wire.submit(order_bytes())
    reads = ("/v1/orders", f"/v1/orders/{placed.json['id']}")
    may_read = {"query", "query_pii", "admin"}
    asked: list[tuple[str, str, set[str]]] = [("POST", "/v1/orders", {"ingest", "admin"})]
    asked += [("GET", path, may_read) for path in (*reads, f"{reads[1]}/events")]
    open_to_all = ("/healthz", "/readyz", "/metrics", "/openapi.json")
    asked += [("GET", path, set(ROLES)) for path in open_to_all]

    got, due = {}, {}
    for role in ROLES:
        wire.token = await site.token_for(role)
        for method, path, roles in asked:
            body = order_bytes() if method == "POST" else None
            answer = await wire.ask(method, path, body)
            got[method, path, role] = answer.status
            due[method, path, role] = {"POST": 201, "GET": 200}[method] if role in roles else 403
    assert got == due

    for method, path, roles in asked:
        body = order_bytes() if method == "POST" else None
        answer = await wire.ask(method, path, body, has_key=False)
        if roles == set(ROLES):
            assert answer.status == 200
        else:
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_invalid_keys_are_unauthorised(site: Site, wire: Wire) -> None:
    good = wire.token
    bad = [
        "", "Bearer", "Bearer ", f"Basic {good}", good, f"Bearer  {good}", f"Bearer {good} ",
        f"Bearer {good[:-1]}", f"Bearer {good}x", "Bearer tg_\xe9", "Bearer " + "x" * 5000,
    ]  # fmt: skip
    got = {}
    for value in bad:
        answer = await wire.ask("GET", "/v1/orders", None, {"Authorization": value}, has_key=False)
        got[value] = answer.status
    # Blanks around a header's value are not part of it.
    assert got.pop(f"Bearer {good} ") == 200
    assert set(got.values()) == {401}
    twice = await wire.ask("GET", "/v1/orders", None, {"Authorization": f"Bearer {good}"})
    assert twice.status == 400


async def test_content_types_of_json_are_accepted(wire: Wire) -> None:
    accepted = [
        "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"', "application/json;", "application/json;v=1",
        'application/json; profile="https://shop.example/a;b=\\"c\\""; charset=utf-8',
        "application/json; odata.metadata=minimal;IEEE754Compatible=true", "application/json;;q",
        "application/json ; charset = UTF8",
    ]  # fmt: skip
    rejected = [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "application/json; charset=gbk", "application/jsonx", "application/ld+json", "\xe9",
        "application/json; v=1; CHARSET=iso-8859-1", 'application/json; charset="utf-16"',
        "application/json; charset=utf-8; charset=gbk", 'application/json; a="',
        "application/json; charset",
    ]  # fmt: skip
    got = {}
    for kind in accepted + rejected:
        got[kind] = (await wire.submit(order_bytes(), {"Content-Type": kind})).status
    assert got == dict.fromkeys(accepted, 201) | dict.fromkeys(rejected, 415)
    assert (await wire.submit(order_bytes())).status == 201


def _wrong_orders() -> dict[str, Any]:
    """Orders with one fault, by the field that the answer must name."""
    sent = order()
    item, price = ("items", 1), ("items", 1, "unit_price")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return {
        "body": [],
        "channel": without(sent, ["channel"]),
        "order_no": edited(sent, ["order_no"], "blank within"),
        "buyer_id": edited(sent, ["buyer_id"], "a\0b"),
        "placed_at": edited(sent, ["placed_at"], later),
        "currency": edited(sent, ["currency"], "XXX"),
        "items": edited(sent, ["items"], []),
        "items[1]": edited(sent, item, 7),
        "items[1].sku": edited(sent, [*item, "sku"], ""),
        "items[1].name": without(sent, [*item, "name"]),
        "items[1].quantity": edited(sent, [*item, "quantity"], 0),
        "items[1].unit_price": edited(sent, price, "12.345"),
        "items[1].discount": edited(sent, [*item, "discount"], "99999"),
        "items[1].colour": edited(sent, [*item, "colour"], "green"),
        "amounts": without(sent, ["amounts"]),
        "amounts.goods": edited(sent, ["amounts", "goods"], "1.005"),
        "amounts.payable": edited(sent, ["amounts", "payable"], "1.00"),
        "amounts.freight": edited(sent, ["amounts", "freight"], "-1"),
        "amounts.tip": edited(sent, ["amounts", "tip"], "1"),
        "recipient": edited(sent, ["recipient"], None),
        "recipient.name": edited(sent, ["recipient", "name"], "x" * 129),
        "recipient.phone": edited(sent, ["recipient", "phone"], "1" * 65),
        "recipient.country": edited(sent, ["recipient", "country"], "cn"),
        "recipient.province": without(sent, ["recipient", "province"]),
        "recipient.city": edited(sent, ["recipient", "city"], "  "),
        "recipient.district": edited(sent, ["recipient", "district"], ""),
        "recipient.street": edited(sent, ["recipient", "street"], 5),
        "recipient.postcode": edited(sent, ["recipient", "postcode"], "1" * 17),
        "recipient.id_number": edited(sent, ["recipient", "id_number"], ""),
        "remark": edited(sent, ["remark"], "x" * 1025),
        "is_test": edited(sent, ["is_test"], "yes"),
        "attributes": edited(sent, ["attributes"], {str(n): n for n in range(51)}),
        "gift": edited(sent, ["gift"], True),
    }


async def test_every_fault_names_its_field(wire: Wire) -> None:
    got = {}
    for field, wrong in _wrong_orders().items():
        answer = await wire.submit(json.dumps(wrong).encode())
        assert answer.json["type"] == "/problems/invalid", field
        got[field] = (answer.status, answer.fields)
    assert got == {field: (422, [field]) for field in got}


async def test_faults_beyond_the_schema_are_all_reported_at_once(wire: Wire) -> None:
    wrong = order(currency="XXX", channel="nowhere", recipient={"phone": "12345", "city": ""})
    answer = await wire.submit(json.dumps(wrong).encode())
    assert set(answer.fields) == {"channel", "currency", "recipient.city"}


async def test_a_line_end_is_not_part_of_a_code(wire: Wire) -> None:
    for path in (["order_no"], ["recipient", "country"], ["currency"]):
        sent = order()
        at: Any = sent
        for step in path:
            at = at[step]
        answer = await wire.submit(json.dumps(edited(sent, path, f"{at}\n")).encode())
        assert (answer.status, answer.fields) == (422, [".".join(path)])
    # It would also be a way around the rules for addresses.
    country = {"country": "CN\n", "province": "", "city": "", "district": ""}
    assert (await wire.submit(order_bytes(recipient=country))).status == 422


def _priced(token: str, *, freight: str = "0") -> bytes:
    """Return an order whose one item costs ``token``, verbatim in the JSON."""
    made = order(items=[{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "1"}])
    made["amounts"] = {"goods": "@@", "payable": "@@", "freight": freight}
    made["items"][0]["unit_price"] = "@@"
    return json.dumps(made).encode().replace(b'"@@"', token.encode())


async def test_money_is_exact_as_text_and_as_a_number(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    exact = {
        "99.50": "99.50",
        "0.30": "0.30",
        "999999999999.99": "999999999999.99",
        "1e2": "100.00",
        "0": "0.00",
        "0.07": "0.07",
        "1.10": "1.10",
        "4.35": "4.35",
    }
    for token, stored in exact.items():
        # A text has no exponent.
        for spelling in (token,) if "e" in token else (token, f'"{token}"'):
            answer = await wire.submit(_priced(spelling))
            assert answer.status == 201, (spelling, answer)
            shown = (await wire.ask("GET", answer.headers["location"])).json["amounts"]
            assert shown["payable"] == stored
            kept = "SELECT payable::text FROM orders WHERE id = $1::uuid"
            assert await ledger.fetchval(kept, uuid.UUID(answer.json["id"])) == f"{stored}00"


async def test_money_that_is_not_exact_is_rejected(wire: Wire) -> None:
    not_money = [
        "0.30000000000000004", "0.001", "-1", "-0.01", "1000000000000", "1e400", "1" + "0" * 400,
        "9223372036854775808", "18446744073709551616", "1e-400",
        '"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', '"inf"', '"1E+999999999"', '"0x10"',
        '"1,00"', '""', '"-0.01"', "true", "null", "[]", "{}",
    ]  # fmt: skip
    got = {}
    for token in not_money:
        answer = await wire.submit(_priced(token))
        got[token] = (answer.status, answer.fields[:1])
    # An item's comes first.
    assert got == dict.fromkeys(not_money, (422, ["items[0].unit_price"]))
    for token in ("NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "0x10", "1_0"):
        assert (await wire.submit(_priced(token))).status == 400, token


async def test_money_smaller_than_any_decimal_holds_does_no_harm(wire: Wire) -> None:
    for token in ('"1E-999999999"', '"0E-999999999"', '"1E-2000000"'):
        answer = await wire.submit(
            _priced('"1.00"').replace(b'"freight": "0"', b'"freight": %b' % token.encode())
        )
        assert answer.status == 422, token


async def test_no_field_breaks_more_than_its_order(wire: Wire) -> None:
    odd = [
        "null", "true", "0", "-1", "1.5", "2147483648", "9223372036854775808", "1e400",
        "1" + "0" * 400, '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uffff"',
        '"\\u202e"', '"x\\n"', '"' + "x" * 5000 + '"', "[]", "[[]]", "{}", '{"a": {"b": [1]}}',
        '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"\'; DROP TABLE orders"',
        "NaN", "-Infinity", '"%s%n{0}"',
    ]  # fmt: skip
    sent = order(is_test=True, attributes={"a": 1})
    sent["items"] = sent["items"][:1]
    sent["recipient"]["id_number"] = "110101199003071234"
    requests = b""
    for path in _paths(sent):
        for token in odd:
            fresh = edited(sent, ["order_no"], order()["order_no"])
            body = with_token(fresh, path, token)
            requests += wire.request("POST", "/v1/orders", body)
    requests += wire.request("GET", "/healthz", headers=[("Connection", "close")])
    answers = [check(answer) for answer in await wire.answers(requests)]
    assert len(answers) == len(_paths(sent)) * len(odd) + 1
    assert {answer.status for answer in answers} <= {200, 201, 400, 409, 422}
    assert _kinds(answers) <= {"invalid", "malformed", "conflict"}


def _kinds(answers: list[Answer]) -> set[str]:
    return {a.json["type"].removeprefix("/problems/") for a in answers if a.status >= 400}


def _paths(tree: Any, so_far: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the paths to every value inside a JSON tree."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inside:
        found.append((*so_far, key))
        if isinstance(value, dict | list):
            found += _paths(value, (*so_far, key))
    return found


async def test_roles_of_a_key_add_up(site: Site, wire: Wire) -> None:
    roles: tuple[Role, ...] = ("ingest", "query")
    wire.token = await site.token_for(*roles)
    placed = await wire.submit(order_bytes())
    assert (await wire.ask("GET", placed.headers["location"])).status == 200


async def test_items_show_money_as_the_amounts_do(wire: Wire) -> None:
    answer = await wire.submit(_priced("1E+2"))
    shown = (await wire.ask("GET", answer.headers["location"])).json
    assert shown["amounts"]["payable"] == "100.00"
    assert shown["items"][0]["unit_price"] == "100.00"
