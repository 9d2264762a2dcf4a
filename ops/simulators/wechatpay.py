"""Simulated WeChat Pay API v3: payments, refunds, complaints, its probes and its self test.

Written from pay.weixin.qq.com: every field of the callback of a payment in an official account
(JSAPI). With the option ``sub_mchids`` callbacks are those of a service provider.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import apiv3, parts, rsa_keys

#: A complaint is never lost: what goes back for it is a refund.
_COMPLAINTS: Mapping[Kind, tuple[str, str, str]] = {
    "dispute_opened": ("COMPLAINT.CREATE", "CREATE_COMPLAINT", "PENDING"),
    "dispute_won": ("COMPLAINT.STATE_CHANGE", "MERCHANT_CONFIRM_COMPLETE", "PROCESSED"),
}
KINDS: frozenset[Kind] = frozenset({*parts.PAYMENTS, *parts.REFUNDS, *_COMPLAINTS, "probe", "ping"})
FORGERIES: frozenset[Forgery] = frozenset(
    {"foreign_key", "changed", "unsigned", "stale", "not_ours"}
)
CURRENCIES = ("CNY",)

_SIGNATURE = "Wechatpay-Signature"


def create() -> Account:
    """Make an account during its change from certificates to the public key."""
    public, certified = rsa_keys.make(), rsa_keys.make()
    return Account(
        secrets=(secrets.token_hex(16),),
        options={
            "mchid": f"19{secrets.randbelow(10**8):08}",
            "appids": [f"wx{secrets.token_hex(8)}"],
            "public_keys": [
                {
                    "id": f"PUB_KEY_ID_{secrets.randbelow(10**32):032}",
                    "pem": rsa_keys.public_pem(public),
                }
            ],
            "certificates": [apiv3.certificate_pem(certified, subject="Tenpay.com sign")],
        },
        private={
            "public_key": rsa_keys.private_pem(public),
            "certificate": rsa_keys.private_pem(certified),
        },
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated WeChat Pay. Raises ``ValueError`` without its private key."""
    return WeChatPay(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _transaction_no(trade.serial)


class WeChatPay:
    """The simulated WeChat Pay."""

    def __init__(self, account: Account) -> None:
        self._callbacks = apiv3.Callbacks(account, _Dialect(account))

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Build one delivery of a callback."""
        posted = self._callbacks.message(kind, trade, at=at, attempt=attempt)
        if kind != "probe":
            return posted
        # A usual callback with an invalid signature.
        wrong = f"WECHATPAY/SIGNTEST/{posted.headers[_SIGNATURE]}"
        return Posted({**posted.headers, _SIGNATURE: wrong}, posted.body)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a callback that must be rejected."""
        return self._callbacks.forged(how, kind, trade, at=at)

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Check the status only: 200 with ``FAIL`` in the body counts as success."""
        return status in (200, 204)


class _Dialect:
    name = "Wechatpay"
    headers: Mapping[str, str] = {
        "Accept": "*/*",
        "User-Agent": "Mozilla/4.0",
        "Pragma": "no-cache",
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }

    def __init__(self, account: Account) -> None:
        self._options = account.options
        appids = apiv3.options_of(account, "appids")
        self._appid = str(appids[0]) if appids else "wx8888888888888888"
        partners = apiv3.options_of(account, "sub_mchids")
        self._sub_mchid = str(partners[0]) if partners else None

    def content(
        self, kind: Kind, trade: Trade, *, at: datetime, mchid: str
    ) -> apiv3.CallbackContent:
        if kind == "ping":
            resource = {"echo_message": "echo", "encrypt_echo_message": "echo"}
            return apiv3.CallbackContent("SECURITY_ECHO.SUCCESS", "security", "验签测试", resource)
        if kind in parts.PAYMENTS or kind == "probe":
            resource = self._payment(kind, trade, at=at, mchid=mchid)
            return apiv3.CallbackContent("TRANSACTION.SUCCESS", "transaction", "支付成功", resource)
        if kind in parts.REFUNDS:
            resource = self._refund(kind, trade, at=at, mchid=mchid)
            told = f"REFUND.{resource['refund_status']}"
            return apiv3.CallbackContent(told, "refund", "退款通知", resource)
        if kind in _COMPLAINTS:
            told, action, state = _COMPLAINTS[kind]
            complaint: dict[str, Any] = {
                "complaint_id": f"2000{apiv3.digits(f'complaint/{trade.serial}', 23)}",
                "action_type": action,
                "complaint_state": state,
                "complaint_time": apiv3.rfc3339(at),
                "complaint_detail": "还没收到货",
                "payer_phone": "",
                "out_trade_no": trade.order_no,
                "transaction_id": transaction_no(trade),
                "amount": apiv3.fen(trade.amount, trade),
            }
            return apiv3.CallbackContent(told, "complaint", "投诉通知", complaint)
        raise ValueError(f"WeChat Pay sends no message {kind}")

    def _parties(self, mchid: str) -> dict[str, Any]:
        if self._sub_mchid is None:
            return {"mchid": mchid}
        return {"sp_mchid": mchid, "sub_mchid": self._sub_mchid}

    def _payment(self, kind: Kind, trade: Trade, *, at: datetime, mchid: str) -> dict[str, Any]:
        total = apiv3.fen(parts.amount(kind, trade), trade)
        number, attach = parts.numbers(kind, trade, self._options, usual="out_trade_no")
        app = "appid" if self._sub_mchid is None else "sp_appid"
        openid = "openid" if self._sub_mchid is None else "sp_openid"
        return {
            **self._parties(mchid),
            app: self._appid,
            "out_trade_no": number,
            "transaction_id": _transaction_no(parts.serial(kind, trade)),
            "trade_type": "JSAPI",
            "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功",
            "bank_type": "OTHERS",
            "attach": attach,
            "success_time": apiv3.rfc3339(at),
            "payer": {openid: f"oUpF8u{apiv3.digits(f'payer/{trade.serial}', 22)}"},
            "amount": {
                "total": total,
                "payer_total": total,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }

    def _refund(self, kind: Kind, trade: Trade, *, at: datetime, mchid: str) -> dict[str, Any]:
        total = apiv3.fen(trade.amount, trade)
        back = apiv3.fen(parts.amount(kind, trade), trade)
        # The partial refund fails later, because the buyer's card was closed.
        is_failed = kind == "refund_failed"
        ended = {} if is_failed else {"success_time": apiv3.rfc3339(at)}
        name = "refund" if kind == "refund" else "partial_refund"
        return {
            **self._parties(mchid),
            "out_trade_no": trade.order_no,
            "transaction_id": transaction_no(trade),
            "out_refund_no": f"{name[0].upper()}{trade.serial}",
            "refund_id": f"5030{apiv3.digits(f'{name}/{trade.serial}', 25)}",
            "refund_status": "ABNORMAL" if is_failed else "SUCCESS",
            **ended,
            "user_received_account": "招商银行信用卡0403" if is_failed else "支付用户零钱",
            "amount": {
                "total": total,
                "refund": back,
                "payer_total": total,
                "payer_refund": back,
            },
        }


def _transaction_no(serial: str) -> str:
    return f"4200{apiv3.digits(f'transaction/{serial}', 24)}"
