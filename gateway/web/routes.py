"""The table of routes of the clients' listener, with what each takes and answers."""

from collections.abc import Sequence

from gateway.domain import features
from gateway.web import action_routes, apis, document_routes, order_routes
from gateway.web.handlers.actions import ActionHandler
from gateway.web.handlers.approvals import ApprovalHandler
from gateway.web.handlers.callbacks import CallbackHandler
from gateway.web.handlers.documents import Documents
from gateway.web.handlers.exports import ExportHandler
from gateway.web.handlers.health import Health, Readiness, StatusHandler
from gateway.web.handlers.orders import OrderHandler
from gateway.web.handlers.queries import QueryHandler
from gateway.web.handlers.remarks import RemarkHandler
from gateway.web.handlers.stream import StreamHandler, Tick
from gateway.web.order_routes import AUTH, LOAD
from gateway.web.routing import Answer, Parameter, Route, Variant


def all_routes(
    *,
    orders: OrderHandler,
    callbacks: CallbackHandler,
    queries: QueryHandler,
    exports: ExportHandler,
    stream: StreamHandler,
    remarks: RemarkHandler,
    actions: ActionHandler,
    approvals: ApprovalHandler,
    status: StatusHandler,
    documents: Documents,
    callback_variants: Sequence[Variant],
) -> list[Route]:
    """Return the table of routes over these handlers."""
    return [
        *order_routes.all_routes(
            orders=orders, queries=queries, exports=exports, remarks=remarks
        ),
        *action_routes.all_routes(handler=actions, approvals=approvals),
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
            problems=["malformed", *AUTH, "invalid", "unavailable", *LOAD],
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
                *LOAD,
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
