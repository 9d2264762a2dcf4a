"""WeChat Pay against wechatpayv3: it signs what we verify, and verifies what we simulate."""

import importlib
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from multidict import CIMultiDict

from gateway.domain import errors, events
from gateway.providers import contract, wechatpay
from ops.simulators import wechatpay as simulated
from ops.simulators.contract import Posted, Trade
from ops.simulators.shared import apiv3
from tests.providers.support import account, tampered

# The package has no types.
sdk: Any = importlib.import_module("wechatpayv3")

PROVIDER = simulated.create()
SIMULATOR = simulated.simulator(PROVIDER)
ADAPTER = wechatpay.adapter(account(*PROVIDER.secrets, **PROVIDER.options))
(PUBLIC_KEY,) = apiv3.options_of(PROVIDER, "public_keys")
TRADE = Trade("I1", "SO-1001", Decimal("199.00"), Decimal("9.01"), "CNY")


def deliveries(now: datetime) -> list[Posted]:
    """Simulate a payment's first two attempts, which alternate between the two keys."""
    return [SIMULATOR.message("paid", TRADE, at=now, attempt=n) for n in (0, 1)]


def client(tmp_path: Path, *, serial: str, signs_with: str = "public_key") -> Any:
    """Make the merchant's client, in the mode that the serial belongs to."""
    mode: dict[str, Any] = {"cert_dir": str(tmp_path)}
    if serial.startswith("PUB_KEY_ID_"):
        mode = {"public_key": PUBLIC_KEY["pem"], "public_key_id": PUBLIC_KEY["id"]}
    else:
        (certificate,) = apiv3.options_of(PROVIDER, "certificates")
        (tmp_path / "platform.pem").write_text(certificate)
    return sdk.WeChatPay(
        wechatpay_type=sdk.WeChatPayType.JSAPI,
        mchid=PROVIDER.options["mchid"],
        private_key=PROVIDER.private[signs_with],
        cert_serial_no="444F4864EA9B34415",
        appid="wx8888888888888888",
        apiv3_key=PROVIDER.secrets[0],
        **mode,
    )


def read(body: bytes, headers: Any, *, now: datetime) -> contract.Reading:
    return ADAPTER.read(contract.Message(CIMultiDict(headers), body, now))


@pytest.mark.parametrize("attempt", [0, 1])
@pytest.mark.parametrize("kind", ["paid", "partial_refund", "refund", "ping"])
def test_the_client_verifies_and_decrypts_what_we_simulate(
    tmp_path: Path, now: datetime, kind: Any, attempt: int
) -> None:
    """Under either key, the client's ``callback`` reads what our adapter reads."""
    posted = SIMULATOR.message(kind, TRADE, at=now, attempt=attempt)
    serial = posted.headers["Wechatpay-Serial"]
    opened = client(tmp_path, serial=serial).callback(posted.headers, posted.body)
    ours = read(posted.body, posted.headers, now=now)
    if kind == "ping":
        assert opened["event_type"] == "SECURITY_ECHO.SUCCESS"
        assert ours.items == []
        return
    (item,) = ours.items
    assert item.key == opened["id"]
    assert isinstance(item.event, events.PaymentSucceeded | events.RefundSucceeded)
    assert item.event.transaction_id == opened["resource"]["transaction_id"]
    fen = opened["resource"]["amount"]["total" if kind == "paid" else "refund"]
    assert item.event.amount * 100 == fen


@pytest.mark.parametrize(("attempt", "name"), [(0, "public_key"), (1, "certificate")])
def test_our_adapter_verifies_what_the_client_signs(
    tmp_path: Path, now: datetime, attempt: int, name: str
) -> None:
    """The client's own ``sign`` joins the three lines; what it signs is accepted."""
    posted = next(
        each
        for each in deliveries(now)
        if each.headers["Wechatpay-Serial"].startswith("PUB") == (name == "public_key")
    )
    body = json.dumps(json.loads(posted.body), ensure_ascii=False, indent=1)
    stamp, nonce = str(int(now.timestamp())), f"client{attempt}"
    signer = client(tmp_path, serial=posted.headers["Wechatpay-Serial"], signs_with=name)
    headers = {
        **posted.headers,
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signer.sign([stamp, nonce, body]),
    }
    assert read(body.encode(), headers, now=now) == read(posted.body, posted.headers, now=now)


@pytest.mark.parametrize("how", ["foreign_key", "changed"])
def test_both_reject_forgeries(tmp_path: Path, now: datetime, how: Any) -> None:
    """What is forged convinces neither the client nor us; a probe neither."""
    posted = SIMULATOR.forged(how, "paid", TRADE, at=now)
    probe = SIMULATOR.message("probe", TRADE, at=now)
    for each in (posted, probe):
        merchant = client(tmp_path, serial=each.headers["Wechatpay-Serial"])
        assert merchant.callback(each.headers, each.body) is None
        with pytest.raises(errors.Rejected):
            read(each.body, each.headers, now=now)


def test_we_never_accept_what_the_client_rejects(tmp_path: Path, now: datetime) -> None:
    """Whatever is tampered with: what our adapter accepts, the client accepts."""
    posted = deliveries(now)[0]
    merchant = client(tmp_path, serial=posted.headers["Wechatpay-Serial"])

    @settings(max_examples=100)
    @given(tampered(posted.body), tampered(posted.headers["Wechatpay-Signature"].encode()))
    def check(body: bytes, signature: bytes) -> None:
        text = signature.decode("utf-8", "surrogateescape")
        for tried in (
            Posted(posted.headers, body),
            Posted({**posted.headers, "Wechatpay-Signature": text}, posted.body),
        ):
            try:
                reading = read(tried.body, tried.headers, now=now)
            except errors.Rejected:
                continue
            assert reading == read(posted.body, posted.headers, now=now)
            assert merchant.callback(tried.headers, tried.body)

    check()
