"""The routes of orders: submit, list, export, read, and the remark."""

from gateway.domain import features
from gateway.domain.holds import HOLDS
from gateway.domain.order_details import OrderDetail
from gateway.domain.orders import Status, Submission
from gateway.domain.remarks import RemarkChange
from gateway.web import apis
from gateway.web.handlers.exports import ExportHandler
from gateway.web.handlers.order_filter import LIMIT_MAX, PROVIDER_SCAN_DAYS_MAX, SCAN_DAYS_MAX
from gateway.web.handlers.orders import OrderHandler, OrderResult
from gateway.web.handlers.queries import History, OrderPage, QueryHandler
from gateway.web.handlers.remarks import RemarkHandler
from gateway.web.preconditions import VERSION_PATTERN
from gateway.web.routing import Answer, Header, Parameter, Route

_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_TIME = {"type": "string", "format": "date-time"}
_COUNTRY = {"type": "string", "pattern": "^[A-Z]{2}$"}
_STORED = "The order is committed in PostgreSQL."
_AGE = Header(
    "Age",
    {"type": "integer", "minimum": 1},
    "Sent only while the primary is unavailable or lists are shed: the answer has everything that "
    "was acknowledged at least this many seconds ago.",
)
#: Of a filter that no index serves.
_BOUND = (
    "Together with a time of `placed_` or `paid_` of at most {} days, or with what finds few "
    "orders: `order_no`, `phone`, `tracking_no`, `transaction_id`."
)
_BOUNDED = _BOUND.format(SCAN_DAYS_MAX)
_FILTERS = [
    Parameter("channel", "query", _TEXT, "Orders of this channel."),
    Parameter("order_no", "query", _TEXT, "Orders with this order number, or this alias."),
    Parameter("status", "query", Status, "Orders with this status."),
    Parameter("placed_from", "query", _TIME, "Orders placed at or after this time."),
    Parameter("placed_to", "query", _TIME, "Orders placed before this time."),
    Parameter("phone", "query", _TEXT, "Orders with this recipient's phone, in whatever spelling."),
    Parameter("country", "query", _COUNTRY, "The country of `phone`. Default: CN."),
    Parameter(
        "is_test",
        "query",
        {"type": "string", "enum": ["true", "false", "any"]},
        "Test orders, live orders, or both. Default: live orders; with a key for tests, which sees "
        "no others, test orders.",
    ),
    Parameter(
        "hold",
        "query",
        {"type": "string", "enum": ["any", *HOLDS]},
        "Orders with this hold, or with any.",
    ),
    Parameter(
        "is_part_paid",
        "query",
        {"type": "string", "enum": ["true", "false"]},
        "Orders that were paid in part and are still due, or all others.",
    ),
    Parameter(
        "paid_from",
        "query",
        _TIME,
        "Orders paid at or after this time; sorted by when they were paid, the last first.",
    ),
    Parameter("paid_to", "query", _TIME, "Orders paid before this time; sorted likewise."),
    Parameter("tracking_no", "query", _TEXT, "The order of a parcel with this tracking number."),
    Parameter(
        "transaction_id",
        "query",
        _TEXT,
        "The order of a payment with this number, be it any that its provider has for it.",
    ),
    Parameter(
        "provider",
        "query",
        _TEXT,
        f"Orders with a payment of this provider. {_BOUND.format(PROVIDER_SCAN_DAYS_MAX)}",
    ),
    Parameter("buyer_id", "query", _TEXT, f"Orders of this buyer. {_BOUNDED}"),
    Parameter(
        "region",
        "query",
        _TEXT,
        "Orders that go there: a country, or with province, city and district as the orders have "
        f"them, as in `CN/Zhejiang/Hangzhou`. {_BOUNDED}",
    ),
    Parameter(
        "updated_from", "query", _TIME, f"Orders last changed at or after this time. {_BOUNDED}"
    ),
    Parameter("updated_to", "query", _TIME, f"Orders last changed before this time. {_BOUNDED}"),
]
_LOCATION = Header("Location", {"type": "string"}, "The path of the order.")
_REPLAYED = Header(
    "Idempotency-Replayed", {"type": "string", "const": "true"}, "Sent for a repeat only."
)
ORDER_ID = Parameter(
    "id",
    "path",
    {"type": "string", "format": "uuid"},
    "The order's id, as the answer to its submission has it.",
)
#: What every route that needs a key may answer.
AUTH = ("unauthorised", "forbidden", "quota-exceeded")
#: Where load may shed the route, and a process of the other role does not serve it.
LOAD = ("misdirected", "overloaded")


def all_routes(
    *,
    orders: OrderHandler,
    queries: QueryHandler,
    exports: ExportHandler,
    remarks: RemarkHandler,
) -> list[Route]:
    """Return the routes of orders over these handlers."""
    return [
        Route(
            method="POST",
            template="/v1/orders",
            name="orders.submit",
            operation="submitOrder",
            tag=apis.ORDERS,
            feature=features.ORDER_SUBMISSION,
            handler=orders.submit,
            role="ingest",
            summary="Submit an order",
            body=Submission,
            parameters=[
                Parameter(
                    "Idempotency-Key",
                    "header",
                    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
                    "Identifies the order within its channel, quoted or not. "
                    "Keys do not expire. An order without one that looks like another of the last "
                    "seconds is taken for a double click, whatever its number.",
                ),
                # Every route takes it; it is written once, so that each has no argument more.
                Parameter(
                    "X-Request-Id",
                    "header",
                    {"type": "string"},
                    "The sender's name for this request, of 1 to 128 characters "
                    "`A-Z a-z 0-9 . _ : / + = @ ~ -`: it comes back in the answer and is in the "
                    "log. Any other is replaced.",
                ),
            ],
            answers=[
                Answer(201, _STORED, OrderResult, headers=[_LOCATION]),
                Answer(
                    200,
                    "A repeat: the original result. Where the order looks like another one, that "
                    f"one's, of which its number is an alias from now on. {_STORED}",
                    OrderResult,
                    headers=[_LOCATION, _REPLAYED],
                ),
                Answer(
                    202,
                    "PostgreSQL is unavailable: the order is synced in the journal and will be "
                    "committed. This id stays valid, also if a repeat was answered with another.",
                    OrderResult,
                    headers=[_LOCATION, _REPLAYED],
                ),
            ],
            problems=[
                "malformed", *AUTH, "slow-body", "conflict", "out-of-stock", "too-large",
                "unsupported-media-type", "invalid", "key-reused", "parked", "unavailable", *LOAD,
            ],
        ),
        Route(
            method="GET",
            template="/v1/orders",
            name="orders.list",
            operation="listOrders",
            tag=apis.ORDERS,
            feature=features.ORDER_LISTS,
            handler=queries.list_orders,
            cached=queries.cached_page,
            role="query",
            summary="List orders, newest first, or follow their changes",
            parameters=[
                *_FILTERS,
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "Orders per page.",
                ),
                Parameter("cursor", "query", _TEXT, "`next_cursor` of the previous page."),
                Parameter(
                    "updated_since",
                    "query",
                    _TIME,
                    "Follow changes: each order that changed at or after this time, in its state "
                    "now, in the sequence in which they changed; those of the minute before are "
                    "told again. `next_cursor` leads on, and is never null. Only `channel`, "
                    "`is_test` and `limit` narrow it.",
                ),
            ],
            answers=[
                Answer(
                    200,
                    "A page of orders. While lists are shed: the answer of the last minute to the "
                    "same key and query, with its `Age`, if there is one.",
                    OrderPage,
                    headers=[_AGE],
                )
            ],
            problems=["malformed", *AUTH, "invalid", "unavailable", *LOAD],
        ),
        Route(
            method="GET",
            template="/v1/orders/export",
            name="orders.export",
            operation="exportOrders",
            tag=apis.ORDERS,
            feature=features.ORDER_EXPORT,
            handler=exports.export,
            role="query",
            summary="Export orders as CSV, newest first",
            parameters=[
                *_FILTERS,
                Parameter(
                    "bom",
                    "query",
                    {"type": "string", "enum": ["true", "false"], "default": "false"},
                    "Begin with a byte order mark, which some spreadsheets need to detect UTF-8.",
                ),
            ],
            answers=[
                Answer(
                    200,
                    "A row for each order, streamed. A connection that ends before the last chunk "
                    "means that the export was aborted. Personal data is masked unless the key has "
                    "`query_pii`. Every export is recorded in the audit log.",
                    None,
                    "text/csv",
                )
            ],
            problems=["malformed", *AUTH, "invalid", "unavailable", *LOAD],
        ),
        Route(
            method="GET",
            template="/v1/orders/{id}",
            name="orders.one",
            operation="getOrder",
            tag=apis.ORDERS,
            feature=features.ORDER_READS,
            handler=queries.get_order,
            role="query",
            summary="Read an order",
            parameters=[ORDER_ID],
            answers=[
                Answer(
                    200,
                    "The order in its current state, with its payments and parcels.",
                    OrderDetail,
                    headers=[_AGE],
                )
            ],
            problems=["malformed", *AUTH, "not-found", "unavailable", *LOAD],
        ),
        Route(
            method="GET",
            template="/v1/orders/{id}/events",
            name="orders.events",
            operation="listOrderEvents",
            tag=apis.ORDERS,
            feature=features.ORDER_READS,
            handler=queries.get_history,
            role="query",
            summary="Read the events of an order",
            parameters=[ORDER_ID],
            answers=[Answer(200, "Its events, oldest first.", History, headers=[_AGE])],
            problems=["malformed", *AUTH, "not-found", "unavailable", *LOAD],
        ),
        Route(
            method="PATCH",
            template="/v1/orders/{id}/remark",
            name="orders.remark",
            operation="changeRemark",
            tag=apis.ORDERS,
            feature=features.ORDER_REMARKS,
            handler=remarks.change,
            role="ingest",
            summary="Change an order's remark",
            body=RemarkChange,
            parameters=[
                ORDER_ID,
                Parameter(
                    "If-Match",
                    "header",
                    {"type": "string", "pattern": VERSION_PATTERN},
                    "The `version` of the order that may be changed, in double quotes. Without it "
                    "the last change wins. Ignored where the order has the same remark already, so "
                    "that a repeat gets the answer of the first request.",
                )
            ],
            answers=[
                Answer(
                    200,
                    "The order has this remark, committed in PostgreSQL, and `version` is its "
                    "version. Nothing was written where it had the same remark before.",
                    OrderResult,
                )
            ],
            problems=[
                "malformed", *AUTH, "not-found", "slow-body", "unreadable", "version-changed",
                "too-large", "unsupported-media-type", "invalid", "unavailable", *LOAD,
            ],
        ),
    ]  # fmt: skip
