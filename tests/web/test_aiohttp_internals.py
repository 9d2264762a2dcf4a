"""aiohttp's private names: the list is complete, and true of the version that is installed."""

import ast
import asyncio
import inspect
from types import ModuleType

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.web import dispatcher, response
from gateway.web.transport import aiohttp_internals, connection
from gateway.web.transport.aiohttp_internals import INTERNALS, Internal
from gateway.web.transport.connection import HttpConnection

#: Code that derives from aiohttp's classes or reaches into them, and from which of them.
_USERS: list[tuple[ModuleType, type]] = [
    (connection, RequestHandler),
    (dispatcher, web.Server),
    (dispatcher, RequestHandler),
    (response, RequestHandler),
]


def _new(owner: type) -> object:
    """Make an instance of one of aiohttp's classes; a RequestHandler is also a BaseProtocol."""
    server = web.Server(_unused)
    if owner is web.Server:
        return server
    return RequestHandler(server, loop=asyncio.get_running_loop(), keepalive_timeout=10.0)


async def _unused(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError(request)


def fault(internal: Internal, instance: object) -> str | None:
    """Return in a sentence how aiohttp differs from the list; None: it does not."""
    name = f"{internal.owner.__name__}.{internal.name}"
    if internal.kind == "method":
        found = internal.owner.__dict__.get(internal.name)
        return None if inspect.isfunction(found) else f"aiohttp has no method {name} any more"
    if not hasattr(instance, internal.name):
        return f"aiohttp has no attribute {name} any more; it was used for: {internal.reason}"
    value = getattr(instance, internal.name)
    if isinstance(value, internal.kind):
        return None
    return f"{name} is of type {type(value).__name__}, not {internal.kind.__name__}"


def test_the_installed_version_is_the_one_that_was_read() -> None:
    assert aiohttp.__version__ == aiohttp_internals.VERSION, (
        f"aiohttp {aiohttp.__version__} is installed, but the private names in "
        f"gateway/web/transport/aiohttp_internals.py were checked against "
        f"{aiohttp_internals.VERSION}: read its web_protocol.py and web_server.py, run the tests "
        "of tests/web, then change VERSION there"
    )


@pytest.mark.parametrize(
    "internal", INTERNALS, ids=lambda each: f"{each.owner.__name__}.{each.name}"
)
async def test_each_name_is_there_and_of_its_kind(internal: Internal) -> None:
    assert fault(internal, _new(internal.owner)) is None


async def test_a_name_that_is_gone_or_of_another_kind_is_reported() -> None:
    made = _new(RequestHandler)
    gone = Internal(RequestHandler, "_gone", bool, "a test")
    assert fault(gone, made) == (
        "aiohttp has no attribute RequestHandler._gone any more; it was used for: a test"
    )
    changed = Internal(RequestHandler, "_messages", dict, "a test")
    assert fault(changed, made) == "RequestHandler._messages is of type deque, not dict"
    method = Internal(RequestHandler, "_gone", "method", "a test")
    assert fault(method, made) == "aiohttp has no method RequestHandler._gone any more"


@pytest.mark.parametrize(("user", "owner"), _USERS)
async def test_every_private_name_that_is_used_is_listed(user: ModuleType, owner: type) -> None:
    tree = ast.parse(inspect.getsource(user))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    methods = {
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    private = {name for name in dir(_new(owner)) if name[0] == "_" and name[:2] != "__"}
    listed = {each.name for each in INTERNALS if issubclass(owner, each.owner)}
    assert ((attributes | methods) & private) - listed == set()


def test_every_name_that_is_listed_is_used() -> None:
    sources = {inspect.getsource(user) for user, _ in _USERS}
    for internal in INTERNALS:
        assert any(internal.name in source for source in sources), internal.name


def test_own_attributes_hide_none_of_aiohttps() -> None:
    own = set(HttpConnection.__slots__)
    theirs = {
        name for base in HttpConnection.__mro__[1:] for name in getattr(base, "__slots__", ())
    }
    assert own & theirs == set()
