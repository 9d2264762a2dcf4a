"""The routes of the clients' listener, with what each takes and answers."""

from collections.abc import Sequence

from gateway.domain import features
from gateway.domain.holds import HOLDS
from gateway.domain.order_details import OrderDetail
from gateway.domain.orders import Status, Submission
from gateway.domain.releases import Release
from gateway.domain.remarks import RemarkChange
from gateway.web import apis, document_routes
from gateway.web.handlers.callbacks import CallbackHandler
from gateway.web.handlers.documents import Documents
from gateway.web.handlers.exports import ExportHandler
from gateway.web.handlers.health import Health, Readiness, StatusHandler
from gateway.web.handlers.orders import OrderHandler, OrderResult
from gateway.web.handlers.queries import LIMIT_MAX, History, OrderPage, QueryHandler
from gateway.web.handlers.releases import ReleaseHandler
from gateway.web.handlers.remarks import VERSION_PATTERN, RemarkHandler
from gateway.web.handlers.stream import StreamHandler, Tick
from gateway.web.routing import Answer, Header, Parameter, Route, Variant

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
]
_LOCATION = Header("Location", {"type": "string"}, "The path of the order.")
_REPLAYED = Header(
    "Idempotency-Replayed", {"type": "string", "const": "true"}, "Sent for a repeat only."
)
_ID = Parameter(
    "id",
    "path",
    {"type": "string", "format": "uuid"},
    "The order's id, as the answer to its submission has it.",
)
_AUTH = ("unauthorised", "forbidden", "quota-exceeded")
#: Where load may shed the route, and a process of the other role does not serve it.
_LOAD = ("misdirected", "overloaded")


def all_routes(
    *,
    orders: OrderHandler,
    callbacks: CallbackHandler,
    queries: QueryHandler,
    exports: ExportHandler,
    stream: StreamHandler,
    remarks: RemarkHandler,
    releases: ReleaseHandler,
    status: StatusHandler,
    documents: Documents,
    callback_variants: Sequence[Variant],
) -> list[Route]:
    """Return the table of routes over these handlers."""
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
                "malformed", *_AUTH, "slow-body", "conflict", "out-of-stock", "too-large",
                "unsupported-media-type", "invalid", "key-reused", "parked", "unavailable", *_LOAD,
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
            summary="List orders, newest first",
            parameters=[
                *_FILTERS,
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "Orders per page.",
                ),
                Parameter("cursor", "query", _TEXT, "`next_cursor` of the previous page."),
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
            problems=["malformed", *_AUTH, "invalid", "unavailable", *_LOAD],
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
            problems=["malformed", *_AUTH, "invalid", "unavailable", *_LOAD],
        ),
        Route(
            method="GET",
            template="/v1/stream",
            name="stream",
            operation="followFigures",
            tag=apis.LIVE,
            feature=features.LIVE_STREAM,
            handler=stream.open,
            role="query",
            summary="Follow live counters as server-sent events",
            answers=[
                Answer(
                    200,
                    "An event `tick` every second (every ten while streams are partly shed), and "
                    "`shed` (and, deprecated, `dark`) before the stream ends because of load. The "
                    "top level of a tick is the "
                    "process that answers; `gateway` is the cluster, as each process published its "
                    "state through Redis, and null while Redis is unavailable.",
                    None,
                    "text/event-stream",
                    data=Tick,
                )
            ],
            problems=["malformed", *_AUTH, "invalid", "unavailable", *_LOAD],
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
            parameters=[_ID],
            answers=[
                Answer(
                    200,
                    "The order in its current state, with its payments and parcels.",
                    OrderDetail,
                    headers=[_AGE],
                )
            ],
            problems=["malformed", *_AUTH, "not-found", "unavailable", *_LOAD],
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
            parameters=[_ID],
            answers=[Answer(200, "Its events, oldest first.", History, headers=[_AGE])],
            problems=["malformed", *_AUTH, "not-found", "unavailable", *_LOAD],
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
                _ID,
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
                "malformed", *_AUTH, "not-found", "slow-body", "unreadable", "version-changed",
                "too-large", "unsupported-media-type", "invalid", "unavailable", *_LOAD,
            ],
        ),
        Route(
            method="POST",
            template="/v1/orders/{id}/release",
            name="orders.release",
            operation="releaseOrder",
            tag=apis.ORDERS,
            feature=features.ORDER_ACTIONS,
            handler=releases.release,
            role="operate",
            summary="Release a held order",
            description="Ends the hold that the order was placed with (`lookalike`, "
            "`suspected_brushing`). Holds for money end when the money is right.",
            body=Release,
            parameters=[_ID],
            answers=[
                Answer(
                    200,
                    "The hold of its placement has ended, committed in PostgreSQL, and what waited "
                    "for that was applied; or it had ended before. `hold` is what still holds it.",
                    OrderResult,
                ),
                Answer(
                    202,
                    "PostgreSQL is unavailable: the release is synced in the journal and will be "
                    "committed. The answer is the order as it was before.",
                    OrderResult,
                ),
            ],
            problems=[
                "malformed", *_AUTH, "not-found", "slow-body", "too-large",
                "unsupported-media-type", "invalid", "unavailable", *_LOAD,
            ],
        ),
        Route(
            method="POST",
            template="/v1/callbacks/{provider}/{account}",
            name="callbacks",
            operation="receiveCallback",
            tag=apis.CALLBACKS,
            feature=features.CALLBACKS,
            handler=callbacks.receive,
            role=None,
            summary="Receive a callback of a provider",
            description="Authenticated by the provider's signature.",
            parameters=[
                Parameter(
                    "account",
                    "path",
                    {"type": "string", "pattern": "^[a-z0-9_-]{1,32}$"},
                    "The name of the provider account in the settings.",
                )
            ],
            answers=[],
            problems=[
                "malformed", "not-found", "slow-body", "too-large", "unsupported-media-type",
                *_LOAD,
            ],
            variants=callback_variants,
        ),
        Route(
            method="GET",
            template="/healthz",
            name="healthz",
            operation="getHealth",
            tag=apis.PROCESS,
            handler=status.health,
            role=None,
            summary="Liveness of the process",
            answers=[Answer(200, "The process is alive.", Health)],
        ),
        Route(
            method="GET",
            template="/readyz",
            name="readyz",
            operation="getReadiness",
            tag=apis.PROCESS,
            handler=status.readiness,
            role=None,
            summary="Readiness of the process",
            answers=[
                Answer(
                    200,
                    "Orders can be committed or journaled. For a process of the role `query`: "
                    "orders can be read.",
                    Readiness,
                ),
                Answer(503, "Not ready; `parts` has the reasons.", Readiness),
            ],
        ),
        Route(
            method="GET",
            template="/metrics",
            name="metrics",
            operation="getMetrics",
            tag=apis.PROCESS,
            handler=status.metrics,
            role=None,
            summary="Metrics for Prometheus",
            answers=[Answer(200, "Metrics in the Prometheus text format.", None, "text/plain")],
        ),
        *document_routes.all_routes(documents, prefix="", feature=features.OTHER),
    ]  # fmt: skip
