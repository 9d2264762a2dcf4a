"""PATCH /v1/orders/{id}/remark: permissions, bodies and answers."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.overload.admission import Admission
from gateway.runtime.settings import Settings
from gateway.web.handlers import remarks
from gateway.wiring import open_gateway
from tests.stores.support import with_
from tests.support.cable import cable_to
from tests.support.patience import HANG_S
from tests.support.site import Site, serve
from tests.web.support import Answer, Wire, order_bytes


async def placed(wire: Wire, **changes: Any) -> dict[str, Any]:
    """Place an order and return the answer."""
    answer = await wire.submit(order_bytes(**changes))
    assert answer.status == 201
    result: dict[str, Any] = answer.json
    return result


async def patch(
    wire: Wire, id_: str, remark: object, *headers: tuple[str, str], **how: Any
) -> Answer:
    """Send a remark, or bytes as they are."""
    body = remark if isinstance(remark, bytes) else json.dumps({"remark": remark}).encode()
    return await wire.ask("PATCH", f"/v1/orders/{id_}/remark", body, headers, **how)


async def shown(wire: Wire, id_: str) -> tuple[int, str | None]:
    """Read an order; return its version and remark."""
    answer = await wire.ask("GET", f"/v1/orders/{id_}")
    assert answer.status == 200
    return answer.json["version"], answer.json["remark"]


def version(n: int) -> tuple[str, str]:
    return "If-Match", f'"{n}"'


async def test_a_remark_is_changed_read_and_in_the_history(wire: Wire) -> None:
    result = await placed(wire, remark="leave it at the door")
    id_ = result["id"]
    answer = await patch(wire, id_, "请 ring twice\n🔔")
    assert (answer.status, answer.json) == (200, result | {"version": 2})
    assert await shown(wire, id_) == (2, "请 ring twice\n🔔")
    cleared = await patch(wire, id_, None)
    assert (cleared.status, cleared.json["version"]) == (200, 3)
    assert await shown(wire, id_) == (3, None)
    events = (await wire.ask("GET", f"/v1/orders/{id_}/events")).json["events"]
    assert [event["action"] for event in events] == ["placed", *["remark_changed"] * 2]
    assert {event["source"] for event in events[1:]} == {"remark:web"}
    assert all(event["trigger"].startswith("key:") for event in events)
    assert "ring" not in json.dumps(events)


async def test_a_repeat_gets_the_same_answer_and_changes_nothing(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    first = await patch(wire, id_, "once", version(1))
    for headers in ((version(1),), (version(2),), ()):
        again = await patch(wire, id_, "once", *headers)
        assert (again.status, again.body) == (200, first.body)
    assert await shown(wire, id_) == (2, "once")


async def test_the_submission_sent_again_is_still_a_repeat(wire: Wire) -> None:
    body = order_bytes(remark="first")
    result = (await wire.submit(body)).json
    await patch(wire, result["id"], "second")
    again = await wire.submit(body)
    assert (again.status, again.json) == (200, result)
    assert await shown(wire, result["id"]) == (2, "second")


async def test_only_the_version_in_if_match_is_changed(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    for n in (2, 9_999_999_999):
        stale = await patch(wire, id_, "no", version(n))
        assert (stale.status, stale.json["type"]) == (412, "/problems/version-changed")
        assert stale.json["context"] == {"id": id_, "version": 1}
    assert (await patch(wire, id_, "a", version(1))).json["version"] == 2
    stale = await patch(wire, id_, "b", version(1))
    assert (stale.status, stale.json["context"]["version"]) == (412, 2)
    assert (await patch(wire, id_, "b", version(2))).json["version"] == 3
    assert await shown(wire, id_) == (3, "b")


async def test_of_concurrent_edits_one_succeeds(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    answers = await asyncio.gather(*[patch(wire, id_, f"{n}", version(1)) for n in range(8)])
    assert sorted(answer.status for answer in answers) == [200, *[412] * 7]
    (winner,) = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert await shown(wire, id_) == (2, str(winner))


@pytest.mark.parametrize(
    "value",
    ["1", "", '""', '"0"', '"01"', '"-1"', '"1.0"', '"x"', '"1', 'W/"1"', "*", '"1", "2"',
     '"\u0661"', '"12345678901"', "'1'", '"1""1"'],
)  # fmt: skip
async def test_an_invalid_if_match_is_rejected(wire: Wire, value: str) -> None:
    id_ = (await placed(wire))["id"]
    header = ("If-Match", value.encode().decode("latin-1"))
    answer = await patch(wire, id_, "no", header)
    assert (answer.status, answer.json["type"]) == (400, "/problems/malformed")
    assert answer.fields == ["If-Match"]
    assert (await patch(wire, id_, "no", version(1), version(1))).status == 400
    assert (await shown(wire, id_))[0] == 1


_UGLY: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "truncated": (b'{"remark":"a"', 400),
    "twice": (b'{"remark":"a"}{"remark":"b"}', 400),
    "Latin-1": (b'{"remark":"caf\xe9"}', 400),
    "half a pair": (b'{"remark":"\\ud800"}', 400),
    "surrogate in UTF-8": (b'{"remark":"\xed\xa0\x80"}', 400),
    "NUL as it is": (b'{"remark":"a\0"}', 400),
    "null": (b"null", 422),
    "list": (b"[]", 422),
    "text": (b'"remark"', 422),
    "nothing": (b"{}", 422),
    "number": (b'{"remark":1}', 422),
    "object": (b'{"remark":{}}', 422),
    "unknown field": (b'{"remark":"a","version":1}', 422),
    "too long": (b'{"remark":"%b"}' % (b"x" * 1025), 422),
    "brackets": (b"[" * 10_000, 400),
    "brackets inside": (b'{"x":' + b"[" * 10_000, 400),
    "too large": (b'{"remark":"a"}'.ljust(remarks.BYTES_MAX + 1), 413),
}


@pytest.mark.parametrize("name", _UGLY)
async def test_a_malformed_body_gets_its_4xx(wire: Wire, name: str) -> None:
    body, due = _UGLY[name]
    id_ = (await placed(wire))["id"]
    assert (await patch(wire, id_, body)).status == due
    assert (await shown(wire, id_))[0] == 1


async def test_faults_are_named(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    for body, field in (
        (b"{}", "remark"), (b'{"remark":1}', "remark"),
        (b'{"remark":"a","x":1}', "x"), (b"[]", "body"),
    ):  # fmt: skip
        assert (await patch(wire, id_, body)).fields == [field]


async def test_the_longest_remark_is_accepted_in_every_notation(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    longest = "🔔" * 1024
    escaped = json.dumps({"remark": longest}).encode()
    assert len(escaped) > 12 * 1024
    assert (await patch(wire, id_, escaped.ljust(remarks.BYTES_MAX))).status == 200
    assert await shown(wire, id_) == (2, longest)
    packed = gzip.compress(b'{"remark":""}')
    assert (await patch(wire, id_, packed, ("Content-Encoding", "gzip"))).status == 200
    assert await shown(wire, id_) == (3, "")
    bomb = gzip.compress(b'{"remark":"a"}'.ljust(10_000_000))
    assert len(bomb) < remarks.BYTES_MAX
    assert (await patch(wire, id_, bomb, ("Content-Encoding", "gzip"))).status == 413
    for kind in ("text/plain", "application/merge-patch+json", "application/json; charset=gbk"):
        assert (await patch(wire, id_, "a", ("Content-Type", kind))).status == 415


async def test_another_method_is_answered_with_the_allowed_one(wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
        (answer,) = await wire.answers(
            wire.request(method, f"/v1/orders/{id_}/remark", b"{}", [("Connection", "close")])
        )
        assert (answer.status, answer.headers["allow"]) == (405, "PATCH"), method
    wrong = await wire.ask("PATCH", f"/v1/orders/{id_}", b'{"remark":"a"}')
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_orders_of_other_channels_are_not_found(site: Site, wire: Wire) -> None:
    mine, theirs = [(await placed(wire, channel=name))["id"] for name in ("app", "web")]
    everybodys = wire.token
    wire.token = await site.token_for("ingest", channels=["app"])
    assert (await patch(wire, mine, "a")).status == 200
    hidden = await patch(wire, theirs, "a")
    absent = await patch(wire, f"{theirs[:-4]}0000", "a")
    nonsense = await patch(wire, "x", "a")
    assert hidden.status == 404
    assert hidden.unnamed == absent.unnamed == nonsense.unnamed
    # The version of an order of another channel is not disclosed.
    assert (await patch(wire, theirs, "a", version(7))).unnamed == hidden.unnamed
    wire.token = everybodys
    assert (await shown(wire, theirs))[0] == 1


async def test_only_the_role_that_submits_may_change_it(site: Site, wire: Wire) -> None:
    id_ = (await placed(wire))["id"]
    assert (await patch(wire, id_, "a", has_key=False)).status == 401
    for role, due in (("query", 403), ("query_pii", 403), ("operate", 403), ("ingest", 200)):
        wire.token = await site.token_for(role)  # type: ignore[arg-type]  # a name of the list
        assert (await patch(wire, id_, role)).status == due, role


# --- early rejection ---


@pytest.fixture
def admission(site: Site) -> Iterator[Admission]:
    admission = site.gateway.admission
    yield admission
    assert admission.concurrency.in_use == 0, "a slot was not given back"


@contextlib.contextmanager
def shed(admission: Admission, tier: Any) -> Iterator[None]:
    breaker = admission.breakers[tier]
    before = breaker.state, breaker.share
    breaker.state, breaker.share = "shedding_all", 1.0
    yield
    breaker.state, breaker.share = before


async def test_while_its_tier_is_shed_it_is_rejected_on_its_first_bytes(
    wire: Wire, admission: Admission, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    id_ = (await placed(wire))["id"]
    with shed(admission, 3):
        assert (await patch(wire, id_, "a")).status == 200
    with shed(admission, 2):
        rejected = await patch(wire, id_, "b")
        # An absolute target is not recognised on its first bytes, and gets the same rejection.
        late = await wire.ask("PATCH", f"http://gateway/v1/orders/{id_}/remark", b'{"remark":"b"}')

        async def never(_: object) -> None:
            raise AssertionError("it was not rejected early")

        monkeypatch.setattr(site.server, "request_handler", never)
        early = await patch(wire, id_, "b")
    for answer in (rejected, late, early):
        assert answer.status == 503
        assert answer.json["type"] == "/problems/overloaded"
        context = answer.json["context"]
        assert (context["feature"], context["tier"], context["reason"]) == (
            "order_remarks", 2, "shed",
        )  # fmt: skip
        assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert await shown(wire, id_) == (2, "a")


async def test_the_body_of_a_rejected_request_is_skipped(wire: Wire, admission: Admission) -> None:
    id_ = (await placed(wire))["id"]
    request = wire.request(
        "PATCH", f"/v1/orders/{id_}/remark", b'{"remark":"GET /healthz HTTP/1.1"}'
    )
    last = wire.request("GET", "/healthz", headers=[("Connection", "close")])
    with shed(admission, 2):
        answers = await wire.answers(request * 3 + last)
    assert [answer.status for answer in answers] == [503, 503, 503, 200]


# --- while Postgres is unavailable ---


async def test_while_postgres_is_unavailable_it_is_503_and_not_journaled(
    settings: Settings,
) -> None:
    async with cable_to(settings.database_url) as cable:
        changed = with_(settings, database_url=cable.url, replica_urls="", journal_after_s=0.3)
        async with open_gateway(changed) as gateway, serve(gateway) as site:
            wire = Wire(site.host, site.port, site.token)
            there = (await placed(wire))["id"]
            cable.cut()
            unavailable = await patch(wire, there, "a")
            assert (unavailable.status, unavailable.json["type"]) == (503, "/problems/unavailable")
            assert int(unavailable.headers["retry-after"]) >= 1
            journaled = await wire.submit(order_bytes())
            assert journaled.status == 202
            assert gateway.stores.journal_streams is not None
            assert (await gateway.stores.journal_streams.depth()).entries == 1
            cable.mend()
            async with asyncio.timeout(HANG_S):
                while (await patch(wire, there, "b")).status != 200:
                    await asyncio.sleep(0.05)
            # PostgreSQL is back and does not have that order yet.
            waiting = await patch(wire, journaled.json["id"], "a")
            assert (waiting.status, waiting.headers["retry-after"]) == (503, "1")
            assert (await patch(wire, "00000000-0000-0000-0000-000000000000", "a")).status == 404
            assert await shown(wire, there) == (2, "b")
