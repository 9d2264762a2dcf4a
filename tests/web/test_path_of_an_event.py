"""The files that an order and a callback pass between the socket and COMMIT, and the guide to them.

What is counted: every file under ``gateway`` in which a function is called from the first byte of
the request on, until the connection of the committed batch goes back to its pool. What is not:

- ``domain``, ``runtime`` and ``providers/shared``: pure rules and tools, which return at once;
- the further files of the provider's adapter: pure too, and of one provider;
- properties and context managers: they are read or wrap the path, and hand nothing on.

The guide (``ops/guides/path-of-an-event.md``) links exactly the files that are counted.
"""

import asyncio
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

import gateway
from gateway.runtime import settings
from loadtest.deployment import CHANNELS
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.web.support import Wire, order, order_bytes
from tests.web.test_callbacks import _place, payment_of

FILES_MAX = 20
ROOT = Path(gateway.__file__).parent.parent
GUIDE = ROOT / "ops" / "guides" / "path-of-an-event.md"
RULES_AND_TOOLS = (
    "gateway/domain/", "gateway/runtime/", "gateway/providers/shared/", "gateway/providers/stripe_",
)  # fmt: skip
#: What happens by the clock (a response that expires each second) is not in every one of them.
_ROUNDS = 3


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[settings.Account]:
    return payers.settings


class _Trace:
    """The functions that are called under ``gateway`` until the batch is committed, by file."""

    def __init__(self) -> None:
        self.called: dict[str, set[CodeType]] = {}
        self.is_committed = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or self.is_committed:
            return
        code = frame.f_code
        if code.co_filename.startswith(f"{ROOT}/gateway/"):
            file = code.co_filename.removeprefix(f"{ROOT}/")
            self.called.setdefault(file, set()).add(code)
        elif code.co_name == "release" and code.co_filename.endswith("asyncpg/pool.py"):
            self.is_committed = "gateway/intake/batch_writer.py" in self.called

    def all_files(self) -> list[str]:
        """Return every file, in the order of its first call."""
        return list(self.called)

    def passed(self) -> list[str]:
        """Return the files that are counted, in the order of their first call."""
        return [
            file
            for file, codes in self.called.items()
            if not file.startswith(RULES_AND_TOOLS) and codes - set(_not_handing_on(file))
        ]


def _not_handing_on(file: str) -> Iterator[CodeType]:
    """Return the code of the properties and of the context managers of a file."""
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    for value in vars(module).values():
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and hasattr(wrapped, "__code__"):
            yield wrapped.__code__
        if isinstance(value, type):
            for attribute in vars(value).values():
                if isinstance(attribute, property) and attribute.fget is not None:
                    yield attribute.fget.__code__


async def _traced(wire: Wire, request: bytes, status: int) -> _Trace:
    """Send a request on a connection of its own; return what was called for it."""
    trace = _Trace()
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    # A first request and its answer: the connection is set up, and its caches are warm.
    writer.write(wire.request("GET", "/healthz", has_key=False))
    async with asyncio.timeout(HANG_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        sys.setprofile(trace)
        try:
            writer.write(request)
            answer = await reader.readline()
        finally:
            sys.setprofile(None)
    writer.close()
    assert answer.split()[1] == str(status).encode(), answer
    assert trace.is_committed
    return trace


async def _path(wire: Wire, make: Callable[[], bytes], status: int) -> tuple[list[str], int]:
    """Return the files that every request of a kind passes, and how many files run in all."""
    traces = [await _traced(wire, make(), status) for _ in range(_ROUNDS)]
    every = set.intersection(*[set(trace.passed()) for trace in traces])
    in_all = set.intersection(*[set(trace.all_files()) for trace in traces])
    return [file for file in traces[0].passed() if file in every], len(in_all)


def _linked(section: str) -> set[str]:
    """Return the files that a section of the guide links."""
    text = GUIDE.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"\]\(\.\./\.\./(gateway/[\w/]+\.py)\)", text))


def _check(passed: list[str], in_all: int, section: str) -> None:
    listed = "\n".join(passed)
    assert len(passed) <= FILES_MAX, f"{len(passed)} files (of {in_all} that run):\n{listed}"
    linked = _linked(section)
    assert linked == set(passed), (
        f"not linked: {sorted(set(passed) - linked)}; not passed: {sorted(linked - set(passed))}"
    )


async def test_an_order(wire: Wire) -> None:
    # The first request looks its key up, which takes the regular path.
    assert (await wire.submit(order_bytes())).status == 201

    def submission() -> bytes:
        return wire.request("POST", "/v1/orders", order_bytes())

    _check(*await _path(wire, submission, 201), "An order")


async def test_a_callback(wire: Wire, payers: Payers) -> None:
    payer = payers.accounts[0]
    placed = [order(channel=CHANNELS[0]) for _ in range(_ROUNDS)]
    for each in placed:
        await _place(wire, each)
    waiting = iter(placed)

    def callback() -> bytes:
        posted = payer.pay(payment_of(next(waiting))).sign()
        path = f"/v1/callbacks/{payer.provider}/main"
        return wire.request("POST", path, posted.body, [*posted.headers.items()], has_key=False)

    _check(*await _path(wire, callback, 200), "A callback")


def test_every_link_of_the_guide_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", GUIDE.read_text("utf-8"))
    assert links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []
