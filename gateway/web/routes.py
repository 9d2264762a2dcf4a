"""Every route there is, with what it takes and what it answers."""

from gateway.domain import features, orders
from gateway.domain.remarks import RemarkChange
from gateway.domain.views import OrderView
from gateway.web.handlers.callbacks import CallbackIntake
from gateway.web.handlers.exports import OrderExports
from gateway.web.handlers.health import Health, Readiness, StatusPages
from gateway.web.handlers.orders import OrderIntake, OrderResult
from gateway.web.handlers.queries import LIMIT_MAX, History, OrderPage, OrderQueries
from gateway.web.handlers.remarks import VERSION_PATTERN, RemarkIntake
from gateway.web.handlers.stream import LiveStream, Tick
from gateway.web.routing import Answer, Parameter, Route

_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_TIME = {"type": "string", "format": "date-time"}
_COUNTRY = {"type": "string", "pattern": "^[A-Z]{2}$"}
_STORED = "The order is committed in PostgreSQL."
_AGE = (
    "Age",
    {"type": "integer", "minimum": 1},
    "Only while the primary does not answer, or lists are dark: what was acknowledged longer ago "
    "than so many seconds is in the answer.",
)
_FILTERS = [
    Parameter("channel", "query", _TEXT, "Only this channel."),
    Parameter("order_no", "query", _TEXT, "Only this order number."),
    Parameter("status", "query", orders.Status, "Only this status."),
    Parameter("placed_from", "query", _TIME, "Placed at or after."),
    Parameter("placed_to", "query", _TIME, "Placed before."),
    Parameter("phone", "query", _TEXT, "Only this recipient's phone."),
    Parameter("country", "query", _COUNTRY, "Country of `phone`; CN where not given."),
]
_AUTH = ("unauthorised", "forbidden", "quota-exceeded")


def all_routes(
    *,
    order_intake: OrderIntake,
    callbacks: CallbackIntake,
    queries: OrderQueries,
    exports: OrderExports,
    stream: LiveStream,
    remarks: RemarkIntake,
    status: StatusPages,
) -> list[Route]:
    """Return the table of routes over these handlers."""
    return [
        Route(
            method="POST",
            template="/v1/orders",
            name="orders.submit",
            feature=features.ORDER_SUBMISSION,
            handler=order_intake.submit,
            role="ingest",
            summary="Submit an order",
            body=orders.Submission,
            parameters=[
                Parameter(
                    "Idempotency-Key",
                    "header",
                    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
                    "The request id, unique per order within its channel; quoted or not. "
                    "Remembered for good.",
                )
            ],
            answers=[
                Answer(201, _STORED, OrderResult),
                Answer(200, f"A repeat: the original result. {_STORED}", OrderResult),
                Answer(
                    202,
                    "PostgreSQL can not take it now: the order is synced in the journal and will "
                    "be committed under this id, which stays good if a repeat got another one.",
                    OrderResult,
                ),
            ],
            problems=[
                "malformed", *_AUTH, "slow-body", "conflict", "out-of-stock", "too-large",
                "unsupported-media-type", "invalid", "key-reused", "parked", "unavailable",
                "overloaded",
            ],
        ),
        Route(
            method="GET",
            template="/v1/orders",
            name="orders.list",
            feature=features.ORDER_LISTS,
            handler=queries.page,
            instead=queries.page_of_before,
            role="query",
            summary="List orders, newest first",
            parameters=[
                *_FILTERS,
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "Orders a page.",
                ),
                Parameter("cursor", "query", _TEXT, "`next_cursor` of the page before."),
            ],
            answers=[
                Answer(
                    200,
                    "A page of orders. While lists are dark: the answer that the same key had to "
                    "the same question within the last minute, with its `Age`, if there is one.",
                    OrderPage,
                    headers=[_AGE],
                )
            ],
            problems=["malformed", *_AUTH, "invalid", "unavailable", "overloaded"],
        ),
        Route(
            method="GET",
            template="/v1/orders/export",
            name="orders.export",
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
                    "Begin with a byte order mark, which some spreadsheets need to see UTF-8.",
                ),
            ],
            answers=[
                Answer(
                    200,
                    "A row for each order, streamed; a connection that ends before the last chunk "
                    "means that it was broken off. Masked unless the key has `query_pii`. The "
                    "audit log has it.",
                    None,
                    "text/csv",
                )
            ],
            problems=["malformed", *_AUTH, "invalid", "unavailable", "overloaded"],
        ),
        Route(
            method="GET",
            template="/v1/stream",
            name="stream",
            feature=features.LIVE_STREAM,
            handler=stream.open,
            role="query",
            summary="Follow live counters as server-sent events",
            answers=[
                Answer(
                    200,
                    "An event `tick` each second (each ten while a part of them is refused), and "
                    "`dark` before it ends because of load. What is at the top of a tick is of the "
                    "process that answers; `gateway` is all of them, by what each told through "
                    "Redis, and null while that is away.",
                    None,
                    "text/event-stream",
                    data=Tick,
                )
            ],
            problems=["malformed", *_AUTH, "invalid", "unavailable", "overloaded"],
        ),
        Route(
            method="GET",
            template="/v1/orders/{id}",
            name="orders.one",
            feature=features.ORDER_READS,
            handler=queries.one,
            role="query",
            summary="Read an order",
            answers=[Answer(200, "The order as it stands.", OrderView, headers=[_AGE])],
            problems=["malformed", *_AUTH, "not-found", "unavailable", "overloaded"],
        ),
        Route(
            method="GET",
            template="/v1/orders/{id}/events",
            name="orders.events",
            feature=features.ORDER_READS,
            handler=queries.history,
            role="query",
            summary="Read an order's history",
            answers=[Answer(200, "What happened, step by step.", History, headers=[_AGE])],
            problems=["malformed", *_AUTH, "not-found", "unavailable", "overloaded"],
        ),
        Route(
            method="PATCH",
            template="/v1/orders/{id}/remark",
            name="orders.remark",
            feature=features.ORDER_REMARKS,
            handler=remarks.change,
            role="ingest",
            summary="Change an order's remark",
            body=RemarkChange,
            parameters=[
                Parameter(
                    "If-Match",
                    "header",
                    {"type": "string", "pattern": VERSION_PATTERN},
                    "The only `version` of the order that may be changed, in double quotes. Where "
                    "it is not sent the last change wins. No matter where the order has this very "
                    "remark already: so a repeat is answered as the first was.",
                )
            ],
            answers=[
                Answer(
                    200,
                    "The order has this remark, in PostgreSQL, and `version` is its version. "
                    "Nothing was written where it had the same one before.",
                    OrderResult,
                )
            ],
            problems=[
                "malformed", *_AUTH, "not-found", "slow-body", "version-changed", "too-large",
                "unsupported-media-type", "invalid", "unavailable", "overloaded",
            ],
        ),
        Route(
            method="POST",
            template="/v1/callbacks/{provider}/{account}",
            name="callbacks",
            feature=features.CALLBACKS,
            handler=callbacks.receive,
            role=None,
            summary="Receive a provider's callback; authenticated by its signature",
            body={"type": "string", "description": "As the provider signs and sends it."},
            body_types=("application/json", "application/x-www-form-urlencoded"),
            answers=[
                Answer(
                    200,
                    "Committed or journaled. The body is what the provider expects.",
                    None,
                    "*/*",
                ),
                Answer(400, "Refused: signature, freshness or account.", None, "*/*"),
                Answer(401, "Refused: signature, freshness or account.", None, "*/*"),
                Answer(503, "Not now; the provider sends it again.", None, "*/*"),
            ],
            problems=["not-found", "slow-body", "too-large", "unsupported-media-type"],
        ),
        Route(
            method="GET",
            template="/healthz",
            name="healthz",
            handler=status.health,
            role=None,
            summary="Is the process alive?",
            answers=[Answer(200, "It is.", Health)],
        ),
        Route(
            method="GET",
            template="/readyz",
            name="readyz",
            handler=status.readiness,
            role=None,
            summary="Should the process get traffic?",
            answers=[
                Answer(
                    200,
                    "Orders can be committed, or journaled. Of a process of the role `query`: "
                    "they can be read.",
                    Readiness,
                ),
                Answer(503, "They can not; `parts` says why.", Readiness),
            ],
        ),
        Route(
            method="GET",
            template="/metrics",
            name="metrics",
            handler=status.metrics,
            role=None,
            summary="Metrics for Prometheus",
            answers=[Answer(200, "Prometheus text format.", None, "text/plain")],
        ),
        Route(
            method="GET",
            template="/openapi.json",
            name="openapi",
            feature=features.OTHER,
            handler=status.openapi,
            role=None,
            summary="This document",
            answers=[Answer(200, "OpenAPI 3.1.", {"type": "object"})],
            problems=["overloaded"],
        ),
    ]  # fmt: skip
