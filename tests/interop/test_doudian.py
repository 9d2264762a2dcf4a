"""Doudian's push beside the ``doudian`` client, which verifies pushes and signs none."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from doudian import AppType, DouDian  # type: ignore[import-untyped]  # carries no types
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import doudian
from ops.simulators import doudian as simulated
from ops.simulators.contract import Forgery, Kind, Trade
from tests.providers.support import account, message, tampered, verdict

ACCOUNT = simulated.create()
SIMULATOR = simulated.simulator(ACCOUNT)
ADAPTER = doudian.adapter(account(*ACCOUNT.secrets, **ACCOUNT.options))
#: A tool's app, since an app of one's own would fetch a token at once.
CLIENT = DouDian(str(ACCOUNT.options["app_key"]), ACCOUNT.secrets[0], app_type=AppType.TOOL)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRADE = Trade("7G2", "4837328765348566675", Decimal("88.80"), Decimal("8.80"), "CNY")


def is_accepted_by_client(body: bytes, headers: dict[str, str]) -> bool:
    try:
        return CLIENT.callback(headers, body) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("kind", sorted(simulated.KINDS))
def test_both_accept_what_the_simulator_signs(kind: Kind) -> None:
    """What the simulator signs is a push to the client and to the adapter."""
    posted = SIMULATOR.message(kind, TRADE, at=AT)
    assert is_accepted_by_client(posted.body, dict(posted.headers))
    assert verdict(ADAPTER, message(posted.body, posted.headers)) is not None


@pytest.mark.parametrize("how", sorted(simulated.FORGERIES - {"not_ours"}))
def test_both_reject_what_is_forged(how: Forgery) -> None:
    """Both reject a forgery. That a shop is another's, the client does not check."""
    posted = SIMULATOR.forged(how, "paid", TRADE, at=AT)
    assert not is_accepted_by_client(posted.body, dict(posted.headers))
    assert verdict(ADAPTER, message(posted.body, posted.headers)) is None


@given(st.data())
def test_never_accepts_what_the_client_rejects(data: st.DataObject) -> None:
    """Whatever is tampered with: what the adapter accepts, the client accepts."""
    posted = SIMULATOR.message("paid", TRADE, at=AT)
    name = data.draw(st.sampled_from(["body", "app-id", "event-sign"]))
    body, headers = posted.body, dict(posted.headers)
    if name == "body":
        body = data.draw(tampered(body))
    else:
        headers[name] = data.draw(tampered(headers[name].encode())).decode(errors="replace")
    if verdict(ADAPTER, message(body, headers)) is not None:
        assert is_accepted_by_client(body, headers)


def test_signature_of_a_call_is_none_of_a_push() -> None:
    """What the client signs a call of the API with, under the same secret, proves no push."""
    posted = SIMULATOR.message("paid", TRADE, at=AT)
    sign = CLIENT._sign("order.orderDetail", posted.body.decode(), "1795521600")
    received = message(posted.body, {**posted.headers, "event-sign": sign})
    assert verdict(ADAPTER, received) is None
