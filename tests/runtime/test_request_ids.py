"""Request ids: unique, plain, and in every log line of their request."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway.runtime import logs, request_ids
from gateway.runtime.request_ids import RequestIds


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What the root logger prints."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def test_ids_are_unique_also_across_processes_and_may_be_sent_back() -> None:
    made = [make() for make in (RequestIds(), RequestIds()) for _ in range(1000)]
    assert len(set(made)) == 2000
    assert all(request_ids.is_plain(each) for each in made)


@pytest.mark.parametrize(
    "plain",
    ["a", "0" * 128, "7b0c1a52-5b2f-4d2a-8e0e-2f6f1c9b7d10",
     "Root=1-67891233-abcdef012345678912345678", "req_1.2:3/4+5@6~7"],
)  # fmt: skip
def test_what_proxies_and_clients_make_is_used_as_it_is(plain: str) -> None:
    assert request_ids.is_plain(plain)


@pytest.mark.parametrize(
    "other",
    ["", "0" * 129, "a b", "a\n", "a\r\nX: 1", '"a"', "a\\b", "é", "a,b", "<a>", "{}", "a\0"],
)
def test_nothing_else_is(other: str) -> None:
    assert not request_ids.is_plain(other)


async def test_a_line_carries_the_id_of_its_request_and_of_no_other(printed: io.StringIO) -> None:
    log = logging.getLogger("test")

    async def later() -> None:
        await asyncio.sleep(0)
        log.warning("in a task")

    with request_ids.naming("r-1"):
        log.warning("within")
        task = asyncio.create_task(later())
    log.warning("after")
    await task
    lines = [json.loads(line) for line in printed.getvalue().splitlines()]
    assert [(line["event"], line.get("request_id")) for line in lines] == [
        ("within", "r-1"), ("after", None), ("in a task", "r-1"),
    ]  # fmt: skip
