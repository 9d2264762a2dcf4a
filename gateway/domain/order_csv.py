"""Orders as rows of a sheet: what an export holds, in the order of its columns."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

import msgspec

from gateway.domain.order_details import OrderDetail
from gateway.domain.views import RecipientView

COLUMNS = (
    "id", "channel", "order_no", "status", "version", "hold", "is_test", "buyer_id", "currency",
    "goods", "shop_discount", "platform_subsidy", "freight", "payable", "paid", "refunded",
    "recipient_name", "recipient_phone", "country", "province", "city", "district", "street",
    "postcode", "id_number", "remark", "carrier", "tracking_no", "placed_at", "received_at",
    "updated_at", "paid_at", "shipped_at", "completed_at", "closed_at", "stock_check", "items",
    "attributes", "unreadable", "tax", "tax_included", "platform_state", "unclear",
    "owed", "closed_cause", "pays_on_delivery", "providers", "transaction_ids", "tracking_nos",
    "payments", "accepted_at",
)  # fmt: skip

#: What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOBODY = RecipientView(
    name=None, phone=None, country="", province="", city="", district="", street=None,
    postcode=None, id_number=None,
)  # fmt: skip


def head() -> bytes:
    """Return the line with the names of the columns."""
    return _written([COLUMNS])


def rows(orders: Iterable[OrderDetail]) -> bytes:
    """Return a line for each order (RFC 4180, UTF-8), masked where the views are."""
    return _written([_row(order) for order in orders])


def _row(order: OrderDetail) -> tuple[str, ...]:
    to, amounts = order.recipient or _NOBODY, order.amounts
    attributes = "" if order.attributes is None else msgspec.json.encode(order.attributes).decode()
    return (
        order.id, order.channel, harmless(order.order_no), order.status, str(order.version),
        order.hold or "", flag(order.is_test), harmless(order.buyer_id),
        order.currency, amounts.goods, amounts.shop_discount, amounts.platform_subsidy,
        amounts.freight, amounts.payable, amounts.paid, amounts.refunded, harmless(to.name),
        harmless(to.phone), to.country, harmless(to.province), harmless(to.city),
        harmless(to.district), harmless(to.street), harmless(to.postcode),
        harmless(to.id_number), harmless(order.remark), harmless(order.carrier),
        harmless(order.tracking_no), time(order.placed_at), time(order.received_at),
        time(order.updated_at), time(order.paid_at), time(order.shipped_at),
        time(order.completed_at), time(order.closed_at),
        order.stock_check or "", msgspec.json.encode(order.items).decode(), attributes,
        " ".join(order.unreadable), amounts.tax, flag(amounts.tax_included),
        harmless(order.platform_state),
        " ".join(order.unclear), amounts.owed, order.closed_cause or "",
        flag(order.pays_on_delivery), _listed(each.provider for each in order.payments),
        _listed(each.transaction_id for each in order.payments),
        _listed(each.tracking_no for each in order.parcels),
        msgspec.json.encode(order.payments).decode(), time(order.accepted_at),
    )  # fmt: skip


def harmless(text: str | None) -> str:
    """Return a text that no spreadsheet evaluates: a formula gets an apostrophe in front."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _listed(texts: Iterable[str]) -> str:
    """Return texts in one cell, each once, with spaces in between."""
    return harmless(" ".join(dict.fromkeys(texts)))


def flag(is_set: bool) -> str:
    """Return how a sheet spells it."""
    return "true" if is_set else "false"


def time(at: datetime | None) -> str:
    """Return a time in ISO 8601, empty where there is none."""
    return "" if at is None else at.isoformat()


def _written(lines: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
