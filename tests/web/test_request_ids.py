"""Every answer has a request id: the sender's own if it is plain; so have its log lines."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator, Mapping

import pytest

from gateway.domain import features
from gateway.runtime import logs, request_ids
from gateway.web.handlers.orders import OrderHandler
from tests.support.site import Site
from tests.web.support import Answer, Wire, order_bytes, read_answer


def id_of(answer: Answer) -> str:
    """Return the id of an answer; a problem names it in its body too."""
    found = answer.headers["x-request-id"]
    assert request_ids.is_plain(found)
    if answer.status >= 400 and answer.body:
        assert answer.json["request_id"] == found
    return found


async def test_a_submission_is_answered_with_the_id_that_it_was_sent_with(both_paths: Wire) -> None:
    placed = await both_paths.submit(order_bytes(), {"X-Request-Id": "shop-1/a"})
    assert (placed.status, id_of(placed)) == (201, "shop-1/a")
    rejected = await both_paths.submit(b"{}", {"x-request-id": "shop-2"})
    assert (rejected.status, id_of(rejected)) == (422, "shop-2")


async def test_without_one_each_submission_gets_its_own(both_paths: Wire) -> None:
    answers = [await both_paths.submit(order_bytes()) for _ in range(3)]
    answers += [await both_paths.submit(b"{}") for _ in range(3)]
    assert len({id_of(answer) for answer in answers}) == 6


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "caf\xe9", '"', "a,b", "\tpadded x"])
async def test_an_id_that_is_not_plain_is_replaced(both_paths: Wire, sent: str) -> None:
    answer = await both_paths.submit(order_bytes(), {"X-Request-Id": sent})
    assert answer.status == 201
    assert id_of(answer) != sent


async def test_two_ids_are_none(both_paths: Wire) -> None:
    twice = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    answer = await both_paths.submit(order_bytes(), twice)
    assert answer.status == 201
    assert id_of(answer) not in ("one", "two")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/healthz", 200), ("GET", "/v1/orders", 200), ("GET", "/nothing", 404),
     ("DELETE", "/v1/orders", 405), ("GET", "/v1/orders?limit=0", 422), ("HEAD", "/readyz", 200),
     ("HEAD", "/nothing", 404), ("GET", "/v1/stream", 200), ("GET", "/v1/orders/export", 200)],
)  # fmt: skip
async def test_every_route_answers_with_the_id(
    wire: Wire, method: str, target: str, status: int
) -> None:
    sent = [("X-Request-Id", "r-9"), ("Connection", "close")]
    (answer,) = await wire.answers(wire.request(method, target, headers=sent))
    assert (answer.status, answer.headers["x-request-id"]) == (status, "r-9")
    if status >= 400 and method != "HEAD":
        assert answer.json["request_id"] == "r-9"


async def test_what_cannot_be_parsed_has_an_id_too(wire: Wire) -> None:
    (answer,) = await wire.answers(b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n")
    assert answer.status == 400
    assert id_of(answer)


async def test_a_request_of_a_connection_has_its_own_id(wire: Wire) -> None:
    """Also with one that sends its own before one that sends none."""
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    found = []
    for headers in ([("X-Request-Id", "mine")], [], []):
        writer.write(wire.request("GET", "/healthz", headers=headers))
        answer = await read_answer(reader)
        assert answer is not None
        found.append(id_of(answer))
    writer.close()
    assert found[0] == "mine"
    assert len(set(found)) == 3


async def test_an_early_rejection_is_shared_and_names_no_request(wire: Wire, site: Site) -> None:
    """Thousands a second get the same bytes: to name each would cost a tenth of a rejection."""
    breaker = site.gateway.admission.breakers[3]
    breaker.state, breaker.share = "shedding_all", 1.0
    (answer,) = await wire.answers(
        wire.request(
            "GET", "/v1/orders", headers=[("X-Request-Id", "r-1"), ("Connection", "close")]
        )
    )
    assert (answer.status, answer.json["context"]["feature"]) == (503, features.ORDER_LISTS.name)
    assert "x-request-id" not in answer.headers


class Lines:
    """What the gateway logs, as it prints it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logs.JsonLines())

    def of(self, event: str) -> list[Mapping[str, object]]:
        """Return the lines of an event."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    logging.getLogger().addHandler(made.handler)
    yield made
    logging.getLogger().removeHandler(made.handler)


@pytest.fixture
def _faults_are_expected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    caplog.get_records("call").clear()


@pytest.mark.usefixtures("_faults_are_expected")
@pytest.mark.parametrize("step", ["begin", "end"])
async def test_the_log_line_of_a_failed_submission_has_its_id(
    both_paths: Wire, lines: Lines, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Where it is queued, and where its result is made into an answer."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken by the test")

    if step == "begin":
        monkeypatch.setattr(OrderHandler, "_placement", fail)
    else:
        monkeypatch.setattr("gateway.web.handlers.orders._response", fail)
    headers = [("X-Request-Id", "r-7"), ("Connection", "close")]
    (answer,) = await both_paths.answers(
        both_paths.request("POST", "/v1/orders", order_bytes(), [*both_paths.always, *headers])
    )
    assert (answer.status, id_of(answer)) == (500, "r-7")
    (line,) = lines.of("a request failed")
    assert line["request_id"] == "r-7"


@pytest.mark.usefixtures("_faults_are_expected")
async def test_the_log_line_of_another_request_has_its_id(
    wire: Wire, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken by the test")

    monkeypatch.setattr("gateway.web.handlers.queries._encode", fail)
    headers = [("X-Request-Id", "r-8"), ("Connection", "close")]
    (answer,) = await wire.answers(wire.request("GET", "/v1/orders", headers=headers))
    assert (answer.status, id_of(answer)) == (500, "r-8")
    (line,) = lines.of("a request failed")
    assert line["request_id"] == "r-8"
