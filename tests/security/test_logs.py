"""Log lines: the kind and the place of what went wrong, never the words of a message."""

import asyncio
import gc
import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from gateway.runtime import logs

SECRET = "13987650123"


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


def _lines(printed: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.getvalue().splitlines()]


async def test_the_text_of_an_unexpected_error_is_not_logged(
    printed: io.StringIO,
) -> None:
    async def fail() -> None:
        raise ValueError(f"invalid input for query argument $1: {SECRET!r}")

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    del task
    gc.collect()
    (line,) = _lines(printed)
    assert line["event"] == "Task exception was never retrieved"
    assert line["error"] == "ValueError"
    assert SECRET not in printed.getvalue()


async def test_a_callback_that_fails_keeps_its_arguments_to_itself(printed: io.StringIO) -> None:
    def fail(phone: str) -> None:
        raise ValueError(phone)

    asyncio.get_running_loop().call_soon(fail, SECRET)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (line,) = _lines(printed)
    assert line["error"] == "ValueError"
    assert SECRET not in printed.getvalue()


def test_an_error_with_its_cause_shows_neither_words(printed: io.StringIO) -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as exc:
            raise ValueError(f"no {SECRET}") from exc
    except ValueError:
        logging.getLogger("gateway.test").exception("it failed", extra={"route": "orders.submit"})
    (line,) = _lines(printed)
    assert (line["event"], line["error"], line["route"]) == (
        "it failed", "ValueError", "orders.submit",
    )  # fmt: skip
    assert SECRET not in printed.getvalue()
    assert "test_logs.py" in str(line["trace"])


def test_every_line_is_one_json_object(printed: io.StringIO) -> None:
    logger = logging.getLogger("gateway.test")
    logger.warning("two\nlines", extra={"odd": b"\xff", "lone": "\ud800", "set": {1}})
    logger.warning("%s and %s", "one", 2)
    assert [line["event"] for line in _lines(printed)] == ["two", "one and 2"]


def test_what_repeats_is_let_through_seldom_however_long_it_is() -> None:
    throttle = logs.Throttle(3600.0)
    for message in ("short", "long " * 100):
        record = logging.makeLogRecord({"msg": message})
        assert [throttle.filter(record) for _ in range(3)] == [True, False, False]


def test_messages_that_are_all_different_are_not_all_remembered() -> None:
    throttle = logs.Throttle(3600.0)
    for n in range(5000):
        assert throttle.filter(logging.makeLogRecord({"msg": f"connection {n} was lost"}))
    assert len(throttle._last) <= 1000


def test_beyond_its_budget_a_logger_counts_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: at_s)
    budget = logs.Budget(records=3, every_s=60.0)

    def passes() -> tuple[bool, int | None]:
        record = logging.makeLogRecord({"msg": "the same"})
        return budget.filter(record), getattr(record, "unlogged", None)

    assert [passes() for _ in range(5)] == [(True, None)] * 3 + [(False, None)] * 2
    at_s += 59.0
    assert passes() == (False, None)
    at_s += 1.0
    assert [passes() for _ in range(4)] == [(True, 3), *[(True, None)] * 2, (False, None)]
    at_s += 60.0
    assert passes() == (True, 1)
    at_s += 60.0
    assert passes() == (True, None)
