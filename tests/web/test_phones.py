"""POST and GET /v1/orders: no order is lost for its number, and each is found by it."""

# ruff: noqa: RUF001  # full-width characters are what is tested here

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import phonenumbers
import pytest

from gateway.domain import countries
from gateway.runtime import settings as configuration
from tests.providers import woocommerce_samples as samples
from tests.support.site import Site
from tests.web.support import Wire, order, order_bytes

#: Of the same number, for the same country: each is stored, and each finds all of them.
ONE_NUMBER: list[tuple[str, Sequence[str]]] = [
    ("CN", ["13700137001", "+86 137-0013-7001", "0086 137 0013 7001", "１３７００１３７００１",
            "\u202a137 0013 7001\u202c", "tel:+86-137-0013-7001", "137\u200b0013\u00a07001",
            "١٣٧٠٠١٣٧٠٠١", "电话：13700137001"]),
    ("US", ["(415) 555-2671", "+1 415 555 2671", "001 415 555 2671", "415.555.2671"]),
    ("CN", ["+14155552672", "+1 (415) 555-2672", "001 415 555 2672"]),
    ("CN", ["+55 (11) 98765-4321", "0055 11 98765 4321"]),
    ("GB", ["020 7946 0958", "+44 (0)20 7946 0958", "0044 20 7946 0958"]),
    ("NL", ["06-12345678", "+31 6 12345678", "0031 6 12345678", "+31 (0)6 12345678",
            "０６１２３４５６７８"]),
    ("BR", ["(11) 98765-4322", "+55 11 98765-4322", "0055 11 98765-4322"]),
    ("MX", ["55 1234 5678", "+52 55 1234 5678", "+52 1 55 1234 5678"]),
    ("US", ["(415) 555-2673 ext. 5", "+1 415 555 2673 x5", "tel:+1-415-555-2673;ext=5"]),
    ("CN", ["18412345678-1234", "18412345678转1234", "18412345678_1234", "18412345678 转 1234",
            "18412345678,1234", "１８４１２３４５６７８－１２３４"]),
    ("CN", ["138****8000", "138 **** 8000", "１３８＊＊＊＊８０００", "138xxxx8000"]),
    ("CN", ["138****8000-1234", "138****8000转1234"]),
    ("CN", ["010-87654321-123", "010-87654321转123", "+86 10 8765 4321 ext. 123"]),
    ("CN", ["n/a", "N/A"]),
    ("CN", ["1380013800", "138-0013-800"]),
    ("DE", ["12"]),
    ("HK", ["?? ask my wife ??"]),
]  # fmt: skip
_numbers = count()


async def placed(wire: Wire, phone: str, country: str = "CN", **changes: Any) -> str:
    """Place an order of a buyer's own; return its id."""
    body = order_bytes(
        buyer_id=f"phones-{next(_numbers)}",
        recipient={"phone": phone, "country": country},
        **changes,
    )
    answer = await wire.submit(body)
    assert answer.status == 201, answer
    return str(answer.json["id"])


async def listed(wire: Wire, phone: str, country: str = "CN") -> list[dict[str, Any]]:
    path = f"/v1/orders?limit=200&phone={quote(phone)}&country={country}"
    answer = await wire.ask("GET", path)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["orders"]
    return found


@pytest.mark.parametrize(("country", "texts"), ONE_NUMBER, ids=range(len(ONE_NUMBER)))
async def test_every_spelling_finds_all_orders_of_the_number(
    both_paths: Wire, country: str, texts: Sequence[str]
) -> None:
    wire = both_paths
    ids = {await placed(wire, text, country): text for text in texts}
    for text in texts:
        # Those of the other path are there as well.
        found = {
            each["id"]: each["recipient"]["phone"] for each in await listed(wire, text, country)
        }
        assert ids.items() <= found.items(), text
        assert set(found.values()) <= set(texts)


async def test_an_order_shows_its_phone_as_it_was_sent_and_whether_it_is_unclear(
    wire: Wire, site: Site
) -> None:
    sent = {
        "13700137002": [], "+14155552674": [], "138****8001": [], "18412345679-1234": [],
        "１３７００１３７００２": [], "1380013801": ["recipient.phone"],
        "call the shop": ["recipient.phone"], "-": ["recipient.phone"],
        "13700137002/13700137003": ["recipient.phone"], "7" * 64: ["recipient.phone"],
    }  # fmt: skip
    ids = {text: await placed(wire, text) for text in sent}
    for role in ("query_pii", "query"):
        wire.token = await site.token_for(role)
        for text, unclear in sent.items():
            shown = (await wire.ask("GET", f"/v1/orders/{ids[text]}")).json
            assert shown["unclear"] == unclear, text
            assert shown["recipient"]["phone"] == text or role == "query"
            assert shown["unreadable"] == []


async def test_an_extension_distinguishes(wire: Wire) -> None:
    plain = await placed(wire, "18412340000")
    first, second = [await placed(wire, f"18412340000-{n}") for n in (1, 2)]
    assert [each["id"] for each in await listed(wire, "18412340000")] == [plain]
    assert [each["id"] for each in await listed(wire, "18412340000转1")] == [first]
    assert [each["id"] for each in await listed(wire, "+86 184 1234 0000 ext 2")] == [second]


async def test_what_older_releases_stored_is_still_found(
    site: Site, wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """They indexed digits as they were written, where they knew no pattern of the country."""
    id_ = await placed(wire, "06-87654321", "NL")
    old = site.gateway.stores.sealer.phone_index("+0687654321")
    assert await ledger.fetchval("SELECT phone_index FROM orders WHERE id::text = $1", id_) == old
    for text, country in [("06-87654321", "NL"), ("+31 6 87654321", "NL"), ("+31687654321", "CN")]:
        assert [each["id"] for each in await listed(wire, text, country)] == [id_]


async def test_a_plus_that_was_not_encoded_is_one(wire: Wire) -> None:
    id_ = await placed(wire, "+1 415 555 2675")
    answer = await wire.ask("GET", "/v1/orders?phone=+1+415+555+2675")
    assert [each["id"] for each in answer.json["orders"]] == [id_]


@pytest.mark.parametrize("text", ["-", "%20", "%E2%80%8B", "()"])
async def test_nothing_is_not_searched_for(wire: Wire, text: str) -> None:
    await placed(wire, "-")
    answer = await wire.ask("GET", f"/v1/orders?phone={text}")
    assert (answer.status, answer.fields) == (422, ["phone"])


async def test_orders_to_every_country_are_taken_with_its_numbers(wire: Wire) -> None:
    for country in sorted(countries.CODES):
        number = phonenumbers.example_number(country)
        if number is None:
            continue
        style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
        text = phonenumbers.format_number(number, style)
        id_ = await placed(wire, text, country)
        (found,) = [each for each in await listed(wire, text, country) if each["id"] == id_]
        assert (found["recipient"]["phone"], found["unclear"]) == (text, [])


# --- control characters ---


async def test_control_characters_become_blanks_and_the_body_stays(
    both_paths: Wire, site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    wire = both_paths
    sent = order(
        remark="ring\x07\r\n\ttwice\u2028",
        recipient={
            "name": "Zhang\0San",
            "street": "1\x1b[31m\u202e",
            "phone": "137\x000013\x857004",
        },
    )
    sent["items"][0]["name"] = "Tea\x9f"
    body = json.dumps(sent).encode()
    placed = await wire.submit(body)
    assert placed.status == 201, placed
    shown = (await wire.ask("GET", placed.headers["location"])).json
    to = shown["recipient"]
    assert shown["remark"] == "ring \r\n\ttwice "
    assert (to["name"], to["street"], to["phone"]) == ("Zhang San", "1 [31m ", "137 0013 7004")
    assert shown["items"][0]["name"] == "Tea "
    assert shown["unclear"] == []
    row = await ledger.fetchrow(
        "SELECT id, body FROM raw_messages WHERE id::text = $1", shown["id"]
    )
    assert row is not None
    opened = site.gateway.stores.sealer.open("raw_messages.body", row["id"].bytes, row["body"])
    assert opened == body
    again = await wire.submit(body)
    assert (again.status, again.json) == (200, placed.json)
    other = await wire.submit(body.replace(b"ring", b"sing"))
    assert other.status == 409


async def test_a_remark_is_changed_to_one_with_blanks(wire: Wire) -> None:
    placed = await wire.submit(order_bytes())
    path = placed.headers["location"]
    for _ in range(2):
        answer = await wire.ask(
            "PATCH", f"{path}/remark", json.dumps({"remark": "a\0b\n"}).encode()
        )
        assert (answer.status, answer.json["version"]) == (200, 2)
    assert (await wire.ask("GET", path)).json["remark"] == "a b\n"


# --- orders of shops ---


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "secret").write_text(samples.SECRET, "utf-8")
    secrets = [f"file:{tmp_path / 'secret'}"]
    return [configuration.Account("woocommerce", "shop", ["web"], secrets, {"country": "DE"})]


@pytest.mark.parametrize(
    ("phone", "search", "unclear"),
    [
        ("+1 (415) 555-2676 ext. 9", "+1 415 555 2676 x9", []),
        ("18412340001-1234", "18412340001转1234", []),
        ("138****8002", "138****8002", []),
        ("my number\x00 is secret", "My number is secret", ["recipient.phone"]),
        ("", None, []),
    ],
)
async def test_an_order_of_a_shop_is_found_by_its_phone(
    site: Site, wire: Wire, phone: str, search: str | None, unclear: list[str]
) -> None:
    number = next(_numbers) + 5_000
    address = samples.ADDRESS | {"phone": phone, "first_name": "Li\x1b", "last_name": "\0Wu"}
    told = samples.ORDER | {"id": number, "number": f"P-{number}"}
    body = json.dumps(told | {"billing": address, "shipping": address}).encode()
    signature = base64.b64encode(hmac.digest(samples.SECRET.encode(), body, hashlib.sha256))
    headers = {
        "X-WC-Webhook-Signature": signature.decode(),
        "X-WC-Webhook-Topic": "order.updated",
        "Content-Type": "application/json",
    }
    async with site.client.post(
        "/v1/callbacks/woocommerce/shop", data=body, headers=headers
    ) as answer:
        assert answer.status == 200
    (shown,) = (await wire.ask("GET", f"/v1/orders?order_no=P-{number}")).json["orders"]
    assert shown["unclear"] == unclear
    assert shown["recipient"]["name"] == "Li   Wu"
    assert shown["recipient"]["phone"] == (phone.replace("\0", " ") or None)
    if search is not None:
        assert [each["id"] for each in await listed(wire, search, "DE")] == [shown["id"]]
