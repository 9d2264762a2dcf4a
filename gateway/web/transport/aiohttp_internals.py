"""What the gateway uses of aiohttp beyond its documented interface, in one list.

A request is accepted or rejected on its first bytes, so ``connection.HttpConnection`` must know
where one begins and whether a handler is busy; aiohttp has no public name for either. Nothing
here runs in production: ``tests/web/test_aiohttp_internals.py`` compares the list with the
installed aiohttp and with the code, and fails when they differ. After an upgrade, read aiohttp's
``web_protocol.py`` and ``web_server.py`` for each entry, then change ``VERSION``.
"""

from collections import deque
from typing import Final, Literal

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

#: The version of aiohttp whose source was read for this list.
VERSION: Final = "3.14.5"


class Internal(Struct, frozen=True):
    """One private name: the class that defines it, what it is there, and why it is used.

    ``kind``: "method" of the class, or the type of the attribute's value on a new instance.
    """

    owner: type
    name: str
    kind: type | Literal["method"]
    reason: str


INTERNALS: Final[tuple[Internal, ...]] = (
    Internal(
        BaseProtocol,
        "_loop",
        object,
        "the loop's clock and timers; asking for the running loop again costs more",
    ),
    Internal(
        BaseProtocol,
        "_paused",
        bool,
        "whether more is unsent than the transport buffers: a client that is rejected and does "
        "not read is disconnected; the public property costs a call",
    ),
    Internal(
        BaseProtocol,
        "_drain_helper",
        "method",
        "waits until the transport takes more, for responses that a client reads slowly",
    ),
    Internal(
        RequestHandler,
        "_waiter",
        type(None),
        "a pending future while the handler task waits for a request: the connection is idle",
    ),
    Internal(
        RequestHandler,
        "_messages",
        deque,
        "parsed requests, each a pair of message and payload, that no handler has taken yet: "
        "the last one's head gives the length of the body that follows",
    ),
    Internal(
        RequestHandler,
        "_request_count",
        int,
        "requests parsed so far: whether the bytes just fed completed a head",
    ),
    Internal(
        RequestHandler,
        "_keepalive_timeout",
        float,
        "seconds that this connection may be idle, varied per connection",
    ),
    Internal(
        RequestHandler,
        "_next_keepalive_close_time",
        float,
        "moment of the loop's clock at which an idle connection is closed: moved forward by "
        "responses that aiohttp does not see (rejections and the fast path)",
    ),
    Internal(
        RequestHandler,
        "_process_keepalive",
        "method",
        "overridden: aiohttp's timer closes idle connections, and does not know of requests in "
        "the fast path or rejected by the listener",
    ),
    Internal(
        RequestHandler,
        "_close",
        bool,
        "set by close(): no request may begin any more",
    ),
    Internal(
        RequestHandler,
        "_force_close",
        bool,
        "set by force_close(): no request may begin any more",
    ),
    Internal(
        web.Server,
        "_loop",
        object,
        "passed to each connection, as aiohttp's own factory does",
    ),
    Internal(
        web.Server,
        "_connections",
        dict,
        "open connections, for their limit and while draining; the public property makes a list",
    ),
)
