"""Alipay: a form with the signature among its fields, the same bytes on every attempt."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from alipay import AliPay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadtest.callbacks import CHEAP, Forgery, Message, Payment, Posted, Refund

_GMT8 = timezone(timedelta(hours=8))
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Alipay:
    """An app."""

    provider = "alipay"
    #: Nothing that is signed tells when it was sent: there is no stale one.
    forgeries: tuple[Forgery, ...] = ("foreign_key", "changed", "unsigned")
    is_cumulative = True

    def __init__(self, app_id: str = "2021000100000001") -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.secret = _public_pem(key)
        self.options: Mapping[str, object] = {"app_id": app_id}
        self._app_id = app_id
        self._sdk = AliPay(
            appid=app_id,
            app_private_key_string=_private_pem(key),
            alipay_public_key_string=self.secret,
            sign_type="RSA2",
        )

    def pay(self, payment: Payment) -> Message:
        """A trade that succeeded."""
        notice = self._notice(payment)
        return Message((notice["notify_id"],), _once(lambda: self._signed(notice)))

    def refund(self, refund: Refund) -> Message:
        """A trade of which more went back; the notice tells again that it was paid."""
        is_full = refund.total == refund.payment.amount
        notice = self._notice(refund.payment) | {
            "notify_id": f"nf_{refund.payment.serial}_refund_{refund.number}",
            "trade_status": "TRADE_CLOSED" if is_full else "TRADE_SUCCESS",
            "gmt_refund": _china_time(),
            "out_biz_no": f"re_{refund.payment.serial}_{refund.number}",
            "refund_fee": str(refund.total),
        }
        key = notice["notify_id"]
        return Message((f"{key}:paid", key), _once(lambda: self._signed(notice)))

    def forge(self, payment: Payment, how: Forgery) -> Message:
        """A payment that Alipay never told of."""
        notice = self._notice(payment)
        signed = self._signed(notice)
        if how == "foreign_key":
            signed = Alipay(self._app_id)._signed(notice)
        elif how == "changed":
            cheap = self._signed(notice | {"total_amount": str(CHEAP)})
            old, new = f"total_amount={CHEAP}", f"total_amount={payment.amount}"
            signed = Posted(_FORM, cheap.body.replace(old.encode(), new.encode()))
        elif how == "unsigned":
            signed = Posted(_FORM, signed.body.partition(b"&sign=")[0])
        else:
            raise ValueError("a notice of Alipay does not tell when it was sent")
        return Message((notice["notify_id"],), lambda: signed)

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Only these seven bytes will do."""
        return status == 200 and body == b"success"

    def _notice(self, payment: Payment) -> dict[str, str]:
        return {
            "app_id": self._app_id,
            "charset": "utf-8",
            "gmt_payment": _china_time(),
            "notify_id": f"nf_{payment.serial}",
            "notify_time": _china_time(),
            "notify_type": "trade_status_sync",
            "out_trade_no": payment.order_no,
            "subject": "茶 & 杯 = 100 % +1",
            "total_amount": str(payment.amount),
            "trade_no": payment.transaction_id,
            "trade_status": "TRADE_SUCCESS",
            "version": "1.0",
        }

    def _signed(self, notice: Mapping[str, str]) -> Posted:
        form = str(self._sdk.sign_data(dict(notice)))
        return Posted(_FORM, f"{form}&sign_type=RSA2".encode())


def _once(sign: Callable[[], Posted]) -> Callable[[], Posted]:
    """Sign at the first attempt and send the same bytes at every other."""
    signed: list[Posted] = []

    def remembered() -> Posted:
        if not signed:
            signed.append(sign())
        return signed[0]

    return remembered


def _china_time() -> str:
    return datetime.now(_GMT8).strftime("%Y-%m-%d %H:%M:%S")


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
