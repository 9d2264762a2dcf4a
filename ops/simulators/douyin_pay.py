"""Simulated Douyin Pay, merchant API: callbacks of payments and refunds.

Written from the models of douyinpay-go and douyinpay-java, both official.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import apiv3, parts, rsa_keys

KINDS: frozenset[Kind] = parts.PAYMENTS | parts.REFUNDS
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("CNY",)


def create() -> Account:
    """Make an account with one platform certificate."""
    key = rsa_keys.make()
    return Account(
        secrets=(secrets.token_hex(16),),
        options={
            "mchid": f"80{secrets.randbelow(10**14):014}",
            "appids": [f"aw{secrets.token_hex(7)}"],
            "certificates": [apiv3.certificate_pem(key, subject="douyinpay.com")],
        },
        private={"certificate": rsa_keys.private_pem(key)},
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated Douyin Pay. Raises ``ValueError`` without its private key."""
    return DouyinPay(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _transaction_no(trade.serial)


class DouyinPay:
    """The simulated Douyin Pay."""

    def __init__(self, account: Account) -> None:
        self._callbacks = apiv3.Callbacks(account, _Dialect(account))

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build one delivery of a callback."""
        return self._callbacks.message(kind, trade, at=at, attempt=attempt)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a callback that must be rejected."""
        return self._callbacks.forged(how, kind, trade, at=at)

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require 200 and ``code`` SUCCESS."""
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return status == 200 and isinstance(answer, dict) and answer.get("code") == "SUCCESS"


class _Dialect:
    name = "Douyinpay"
    headers: Mapping[str, str] = {"Accept": "application/json"}

    def __init__(self, account: Account) -> None:
        self._options = account.options
        appids = apiv3.options_of(account, "appids")
        self._appid = str(appids[0]) if appids else "aw00000000000000"

    def content(
        self, kind: Kind, trade: Trade, *, at: datetime, mchid: str
    ) -> apiv3.CallbackContent:
        if kind in parts.PAYMENTS:
            resource = self._payment(kind, trade, at=at, mchid=mchid)
            return apiv3.CallbackContent("TRANSACTION.SUCCESS", "transaction", "支付成功", resource)
        if kind in parts.REFUNDS:
            resource = _refund(kind, trade, at=at, mchid=mchid)
            told = f"REFUND.{resource['refund_status']}"
            return apiv3.CallbackContent(told, "refund", "退款通知", resource)
        raise ValueError(f"Douyin Pay sends no message {kind}")

    def _payment(self, kind: Kind, trade: Trade, *, at: datetime, mchid: str) -> dict[str, Any]:
        total = apiv3.fen(parts.amount(kind, trade), trade)
        number, attach = parts.numbers(kind, trade, self._options, usual="out_trade_no")
        return {
            "appid": self._appid,
            "mchid": mchid,
            "out_trade_no": number,
            "transaction_id": _transaction_no(parts.serial(kind, trade)),
            "trade_type": "JSAPI",
            "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功",
            "bank_type": "OTHERS",
            "attach": attach,
            "success_time": apiv3.rfc3339(at),
            "payer": {"openid": f"_000{apiv3.digits(f'payer/{trade.serial}', 28)}"},
            "amount": {
                "total": total,
                "payer_total": total,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }


def _refund(kind: Kind, trade: Trade, *, at: datetime, mchid: str) -> dict[str, Any]:
    total = apiv3.fen(trade.amount, trade)
    back = apiv3.fen(parts.amount(kind, trade), trade)
    # The partial refund fails later, because the buyer's card was closed.
    is_failed = kind == "refund_failed"
    ended = {} if is_failed else {"success_time": apiv3.rfc3339(at)}
    name = "refund" if kind == "refund" else "partial_refund"
    return {
        "mchid": mchid,
        "out_trade_no": trade.order_no,
        "transaction_id": transaction_no(trade),
        "out_refund_no": f"{name[0].upper()}{trade.serial}",
        "refund_id": f"DR{apiv3.digits(f'{name}/{trade.serial}', 26)}",
        "refund_status": "ABNORMAL" if is_failed else "SUCCESS",
        **ended,
        "user_received_account": "支付用户零钱",
        "amount": {
            "total": total,
            "refund": back,
            "payer_total": total,
            "payer_refund": back,
            "currency": "CNY",
        },
    }


def _transaction_no(serial: str) -> str:
    return f"DP{apiv3.digits(f'transaction/{serial}', 26)}"
