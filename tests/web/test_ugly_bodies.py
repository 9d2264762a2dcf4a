"""Malformed bodies: each gets its 4xx, and no other request is affected."""

import asyncio
import gzip
import json
import time
import zlib
from collections import Counter

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from gateway.domain.order_details import OrderDetail
from ops.harness.ports import free_port
from tests.support.processes import Processes
from tests.support.site import Site
from tests.web.support import Wire, check, order, order_bytes, with_token

MIB = 1 << 20


def _nested(depth: int) -> bytes:
    return with_token(order(attributes={}), ["attributes", "a"], "[" * depth + "]" * depth)


_UGLY = {
    "empty": (b"", 400),
    "blank": (b"   ", 400),
    "truncated": (order_bytes()[:-5], 400),
    "twice": (order_bytes() + order_bytes(), 400),
    "trailing": (order_bytes() + b"x", 400),
    "byte order mark": (b"\xef\xbb\xbf" + order_bytes(), 400),
    "UTF-16": (order_bytes().decode().encode("utf-16"), 400),
    "UTF-32": (order_bytes().decode().encode("utf-32-le"), 400),
    "Latin-1": (with_token(order(), ["remark"], '"caf@"').replace(b"@", b"\xe9"), 400),
    "cut UTF-8": (with_token(order(), ["remark"], '"@"').replace(b"@", b"\xe4\xb8"), 400),
    "surrogate in UTF-8": (
        with_token(order(), ["remark"], '"@"').replace(b"@", b"\xed\xa0\x80"),
        400,
    ),
    "NUL": (order_bytes().replace(b"Zhang", b"Zh\0ng"), 400),
    "null": (b"null", 422),
    "number": (b"7", 422),
    "text": (b'"order"', 422),
    "list": (b"[]", 422),
    "100,000 brackets": (b"[" * 100_000, 422),
    "100,000 brackets inside": (_nested(100_000), 400),
    "40,000 objects": (b'{"a":' * 40_000, 422),
    "comment": (b"/* an order */" + order_bytes(), 400),
    "single quotes": (order_bytes().replace(b'"', b"'"), 400),
    "form": (b"channel=web&order_no=1", 400),
    "multipart": (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", 400),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), 400),
    "one byte too large": (order_bytes().ljust(256 * 1024 + 1), 413),
    "1 MB": (b'{"channel":"' + b"x" * 1_000_000 + b'"}', 413),
}


@pytest.mark.parametrize("name", _UGLY)
async def test_an_ugly_body_gets_its_4xx(both_paths: Wire, name: str) -> None:
    wire = both_paths
    body, due = _UGLY[name]
    answer = await wire.submit(body)
    assert answer.status == due


async def test_the_largest_body_is_accepted(wire: Wire) -> None:
    assert (await wire.submit(order_bytes().ljust(256 * 1024))).status == 201


async def test_the_last_of_repeated_keys_counts(site: Site, wire: Wire) -> None:
    # The decoded order that was checked is the one that is stored.
    wire.token = await site.token_for("ingest", "query", channels=["app"])
    body = order_bytes(channel="app")[:-1]
    assert (await wire.submit(body + b', "channel": "web"}')).status == 403
    answer = await wire.submit(body.replace(b'"app"', b'"web"') + b', "channel": "app"}')
    assert (answer.status, answer.json["channel"]) == (201, "app")


async def test_attributes_nest_no_deeper_than_can_be_read(wire: Wire) -> None:
    statuses: Counter[int] = Counter()
    for depth in (*range(1, 40), 100, 300, 500, *range(900, 1001)):
        answer = await wire.submit(_nested(depth))
        statuses[answer.status] += 1
        if answer.status == 201:
            shown = await wire.ask("GET", answer.headers["location"])
            assert shown.status == 200
    assert set(statuses) == {201, 400, 422}
    assert (await wire.ask("GET", "/v1/orders")).status == 200


async def test_an_order_nested_too_deep_fails_alone(processes: Processes) -> None:
    port = free_port()
    processes.serve(port=port)
    wire = Wire("127.0.0.1", port, await processes.make_token("ingest", "query"))
    # The limit depends on the depth of the call stack: at one of these depths the handler can
    # decode what the batch, deeper in calls, cannot encode.
    for depth in range(960, 1000):
        sent = [order_bytes(), _nested(depth), order_bytes()]
        before, _, after = await asyncio.gather(*map(wire.submit, sent))
        assert (before.status, after.status) == (201, 201), depth


async def test_large_numbers_in_attributes_do_no_harm(wire: Wire) -> None:
    for number in ("18446744073709551616", "-9223372036854775809", "1" + "0" * 300, "1e308"):
        answer = await wire.submit(with_token(order(attributes={}), ["attributes", "n"], number))
        assert answer.status == 201, number
        assert (await wire.ask("GET", answer.headers["location"])).status == 200
    for number in ("1e309", "-1e400", "NaN"):
        answer = await wire.submit(with_token(order(attributes={}), ["attributes", "n"], number))
        assert answer.status in (400, 422), number


async def test_compressed_orders_are_accepted(wire: Wire) -> None:
    deflated = zlib.compress(order_bytes())
    assert (await wire.submit(deflated, {"Content-Encoding": "deflate"})).status == 201
    body = order_bytes()
    answer = await wire.submit(gzip.compress(body), {"Content-Encoding": "gzip"})
    assert answer.status == 201
    again = await wire.submit(body)
    assert (again.status, again.body) == (200, answer.body)
    chunked = b"".join(
        b"%x\r\n%b\r\n" % (1, bytes([byte])) for byte in gzip.compress(order_bytes())
    )
    headers = {"Content-Encoding": "GZIP", "Transfer-Encoding": "chunked"}
    sent = await wire.submit(chunked + b"0\r\n\r\n", headers, has_length=False)
    assert sent.status == 201


async def test_invalid_compression_gets_400_or_415(wire: Wire) -> None:
    squeezed = gzip.compress(order_bytes())
    cases = {
        "not compressed": order_bytes(),
        "cut": squeezed[:-10],
        "wrong sum": squeezed[:-8] + bytes(4) + squeezed[-4:],
        "something behind": squeezed + b"junk",
        "empty": b"",
        "deflate": zlib.compress(order_bytes()),
    }
    got = {}
    for name, body in cases.items():
        got[name] = (await wire.submit(body, {"Content-Encoding": "gzip"})).status
    assert got == dict.fromkeys(cases, 400)
    for coding in ("br", "zstd", "compress", "foo", "gzip, gzip", "gzip;q=1", "\xe9"):
        answer = await wire.submit(squeezed, {"Content-Encoding": coding})
        assert answer.status == 415, coding
    assert (await wire.submit(order_bytes(), {"Content-Encoding": "identity"})).status == 201


def _bomb(mib: int) -> bytes:
    """Return the compressed beginning of an order of this size, a thousandth as long."""
    squeezing = zlib.compressobj(9, wbits=31)
    head = squeezing.compress(b'{"channel":"') + squeezing.flush(zlib.Z_FULL_FLUSH)
    return head + mib * (squeezing.compress(b"a" * MIB) + squeezing.flush(zlib.Z_FULL_FLUSH))


def _decompression_s(bomb: bytes) -> float:
    """Return the CPU seconds that this machine, as busy as it is, needs for all of it."""
    began_s, inflating = time.process_time(), zlib.decompressobj(wbits=31)
    while bomb:
        inflating.decompress(bomb, MIB)
        bomb = inflating.unconsumed_tail
    return time.process_time() - began_s


@pytest.mark.parametrize("target", ["/v1/orders", "/v1/callbacks/stripe/shop", "/nowhere"])
@pytest.mark.parametrize("has_key", [True, False])
async def test_a_decompression_bomb_costs_neither_memory_nor_time(
    wire: Wire, target: str, has_key: bool
) -> None:
    small, large = _bomb(150), _bomb(500)
    whole_s = _decompression_s(small) + _decompression_s(large)
    assert len(small) < 256 * 1024 < len(large)
    process = psutil.Process()
    before, worked_s = process.memory_info().rss, time.process_time()
    highest = before
    headers = {"Content-Encoding": "gzip"}
    asking = asyncio.gather(
        *[wire.ask("POST", target, bomb, headers, has_key=has_key) for bomb in (small, large)]
    )
    while not asking.done():
        await asyncio.sleep(0.005)
        highest = max(highest, process.memory_info().rss)
    assert {answer.status for answer in await asking} <= {401, 404, 413}
    assert highest - before < 20 * MIB
    # Decompressing all of it would keep the one core that all requests share for longer.
    assert time.process_time() - worked_s < whole_s / 2


async def test_the_list_shows_every_order_of_this_module(wire: Wire) -> None:
    listed = check(await wire.ask("GET", "/v1/orders?limit=200")).json["orders"]
    assert all(set(shown) == set(OrderDetail.__struct_fields__) for shown in listed)
    assert json.dumps(listed)
