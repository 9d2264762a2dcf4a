"""Simulated Alipay (mainland open platform): notices of a trade, in any charset it supports.

Written from opendocs.alipay.com: every field of the notice of a page or app payment.
``Account.private`` holds ``key``, Alipay's private key as PEM, and, if it is not utf-8, the
``charset`` of the app.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import parts, rsa_keys, sorted_forms

KINDS: frozenset[Kind] = parts.PAYMENTS | {"partial_refund", "refund", "closed"}
#: No send time is signed, so no notice can be stale.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("CNY",)

Charset = Literal["utf-8", "gbk", "gb2312"]
_CHARSETS: tuple[str, ...] = ("utf-8", "gbk", "gb2312")
# Escaped by the merchant and again by Alipay: decoding it twice breaks the signature.
_PASSBACK = "merchantBizType%3D3C%26note%3D100%25+1"


def create(*, charset: Charset = "utf-8") -> Account:
    """Make an account of one app, with Alipay's keys for it."""
    key = rsa_keys.make()
    return Account(
        secrets=(rsa_keys.public_pem(key),),
        options={
            "app_id": f"2021{secrets.randbelow(10**12):012}",
            "seller_id": f"2088{secrets.randbelow(10**12):012}",
        },
        private={"key": rsa_keys.private_pem(key), "charset": charset},
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated Alipay of an account. Raises ``ValueError`` without its private key."""
    return Alipay(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _trade_no(trade.serial)


class Alipay:
    """The simulated Alipay."""

    def __init__(self, account: Account) -> None:
        self._key = sorted_forms.private_key(account.private, "key", whose="Alipay")
        self._options = account.options
        self._charset = account.private.get("charset", "utf-8")
        if self._charset not in _CHARSETS:
            raise ValueError(f"the charset is none of {', '.join(_CHARSETS)}")

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build one delivery: a repeat has the same ``notify_id`` and a new notice time."""
        return self._posted(self._signed(self._notice(kind, trade, at), self._key))

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a notice that must be rejected."""
        notice = self._notice(kind, trade, at)
        if how == "not_ours":
            notice["app_id"] = notice["auth_app_id"] = sorted_forms.another(notice["app_id"])
        signed = self._signed(notice, rsa_keys.make() if how == "foreign_key" else self._key)
        if how == "changed":
            # A genuine notice with another order number.
            signed["out_trade_no"] += "X"
        if how == "unsigned":
            signed = notice
        return self._posted(signed)

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require the seven bytes ``success``, and nothing else."""
        return status == 200 and body == b"success"

    def _notice(self, kind: Kind, trade: Trade, at: datetime) -> dict[str, str]:
        if kind not in KINDS:
            raise ValueError(f"Alipay sends no message {kind}")
        if trade.currency != self._options.get("currency", "CNY"):
            raise ValueError("amounts are in the currency of the account: notices do not name one")
        sorted_forms.check_cents(trade)
        now = _time(at)
        number, passed = parts.numbers(kind, trade, self._options, usual="out_trade_no")
        return {
            "gmt_create": now,
            "charset": self._charset,
            **self._payee(),
            "subject": "龙井茶 & 杯子 100% + 1",
            "body": "",
            "buyer_id": f"2088{sorted_forms.digits(f'buyer/{trade.serial}', 12)}",
            "buyer_logon_id": "159****5620",
            # Merchants escape it, as the documentation asks them to.
            "passback_params": quote(passed, safe="") or _PASSBACK,
            "notify_id": sorted_forms.digits(f"notice/{kind}/{trade.serial}", 34),
            "notify_type": "trade_status_sync",
            "notify_time": now,
            "trade_no": _trade_no(parts.serial(kind, trade)),
            "out_trade_no": number,
            "total_amount": f"{_total(kind, trade):.2f}",
            "version": "1.0",
            **_status_fields(kind, trade, at),
        }

    def _payee(self) -> dict[str, str]:
        app_id = str(self._options["app_id"])
        return {
            "app_id": app_id,
            "auth_app_id": app_id,
            "seller_id": str(self._options.get("seller_id") or "2088000000000000"),
            "seller_email": str(self._options.get("seller_email") or "shop@example.com"),
        }

    def _signed(self, notice: Mapping[str, str], key: rsa.RSAPrivateKey) -> dict[str, str]:
        typed = {**notice, "sign_type": "RSA2"}
        # Only the old "life account" signs its sign_type as well.
        signed = typed if self._options.get("keep_sign_type") else notice
        text = sorted_forms.text(signed, codec=self._charset)
        return {**typed, "sign": sorted_forms.signature(key, text)}

    def _posted(self, fields: Mapping[str, str]) -> Posted:
        return sorted_forms.posted(fields, codec=self._charset)


def _trade_no(serial: str) -> str:
    return sorted_forms.digits(f"trade/{serial}", 28)


def _total(kind: Kind, trade: Trade) -> Decimal:
    return parts.amount(kind, trade) if kind in parts.PAYMENTS else trade.amount


def _status_fields(kind: Kind, trade: Trade, at: datetime) -> dict[str, str]:
    if kind == "closed":
        return {"trade_status": "TRADE_CLOSED", "gmt_close": _time(at)}
    amount = f"{_total(kind, trade):.2f}"
    paid = {
        "trade_status": "TRADE_SUCCESS",
        "gmt_payment": _time(at),
        "receipt_amount": amount,
        "invoice_amount": amount,
        "buyer_pay_amount": amount,
        "point_amount": "0.00",
        "fund_bill_list": f'[{{"amount":"{amount}","fundChannel":"ALIPAYACCOUNT"}}]',
    }
    if kind in parts.PAYMENTS:
        return paid
    # ``refund_fee`` is the total refunded so far.
    back = {"gmt_refund": f"{_time(at)}.{at.microsecond // 1000:03}"}
    if kind == "partial_refund":
        fee = {"refund_fee": f"{trade.refunded:.2f}", "out_biz_no": f"P{trade.serial}"}
        return {**paid, **back, **fee}
    fee = {"refund_fee": amount, "out_biz_no": f"R{trade.serial}"}
    return {**paid, **back, **fee, "trade_status": "TRADE_CLOSED", "gmt_close": _time(at)}


def _time(at: datetime) -> str:
    return f"{at.astimezone(sorted_forms.GMT8):%Y-%m-%d %H:%M:%S}"
