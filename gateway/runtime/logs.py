"""Logs: one JSON object a line on standard error.

Private data stays out by what is logged, not by filters: lines carry ids, numbers of orders and
transactions, counts, reasons and durations, never a body, a header or another field of a message.
"""

import json
import logging
import sys
import time
from typing import Any

import orjson

from gateway.runtime import request_ids

#: Attributes of a record that are not the caller's own fields.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record as one line: time, level, logger, event, and the fields given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Fields come from ``extra=``; what has no JSON form becomes text.

        What is logged while a request is handled carries its id.
        """
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        if request_id := request_ids.current.get():
            line["request_id"] = request_id
        line.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
        if record.exc_info and record.exc_info[0] is not None:
            # The kind and place of an error, not its text: messages of libraries quote values.
            line["error"] = record.exc_info[0].__name__
            line["trace"] = _places(record.exc_info[2])
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            # Half a surrogate pair has no UTF-8; the standard library escapes it.
            return json.dumps(line, default=str)


def _event(record: logging.LogRecord) -> str:
    message = record.getMessage().partition("\n")[0]
    # asyncio appends the text of the error, or the arguments of the callback: both may be private.
    return message.partition("(")[0] if record.name == "asyncio" else message


def _places(traceback: Any) -> list[str]:
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return places[-12:]


#: Messages remembered by one filter: some libraries format values into the message itself.
_MESSAGES_MAX = 1000


class Throttle(logging.Filter):
    """Passes each message of a logger once per ``every_s`` seconds: libraries repeat theirs."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this record passes."""
        now = time.monotonic()
        message = str(record.msg)[:200]
        if now - self._last.get(message, -self._every_s) < self._every_s:
            return False
        if len(self._last) >= _MESSAGES_MAX:
            self._last.clear()
        self._last[message] = now
        return True


class Budget(logging.Filter):
    """Passes ``records`` records of a logger per ``every_s`` seconds.

    The first one after that has the field ``unlogged``: how many did not pass since.
    """

    def __init__(self, *, records: int, every_s: float) -> None:
        super().__init__()
        self._records = records
        self._every_s = every_s
        self._began_s = float("-inf")
        self._seen = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether this record passes."""
        now_s = time.monotonic()
        if now_s - self._began_s >= self._every_s:
            if self._seen > self._records:
                record.unlogged = self._seen - self._records
            self._began_s, self._seen = now_s, 0
        self._seen += 1
        return self._seen <= self._records


def configure(level: str) -> None:
    """Send every log of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The driver's pool logs a traceback each time it cannot restore a connection.
    logging.getLogger("asyncpg.pool").addFilter(Throttle(30.0))
    # Malformed requests are answered and counted; the library's own lines would quote them.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
