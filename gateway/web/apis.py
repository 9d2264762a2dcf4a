"""What the OpenAPI documents of the two listeners say as a whole: what they cover, and their tags.

Texts are in CommonMark.
"""

from gateway.domain.orders import Hold, Status
from gateway.web.openapi.document import Api

ORDERS = "Orders"
ACTIONS = "Actions"
LIVE = "Live figures"
CALLBACKS = "Callbacks"
PROCESS = "Process"
DOCUMENTS = "Documents"
LOAD = "Load"
OVERRIDES = "Overrides"
PLANS = "Plans"
PARKED = "Parked"
DELIVERIES = "Deliveries"
MISSED = "Missed orders"
EXCEPTIONS = "Exceptions"

_DOCUMENTS = "What this listener serves, for programs and for people."

CLIENTS = Api(
    title="Tidegate",
    summary="Orders and payment callbacks, committed before the 2xx.",
    description="""\
**A 2xx is a promise.** 200 and 201 mean committed in PostgreSQL; 202 means synced in the journal, \
to be committed as soon as PostgreSQL is available again.

**Money** is a decimal string in major units, as in `"199.00"`, and has to add up.

**To repeat is safe.** After a time-out, a lost connection, 429 or 503, send the same request with \
the same `Idempotency-Key` again, after `Retry-After` seconds where the answer has that header. \
A repeat gets the original result.

**Errors** are `application/problem+json` (RFC 9457). `type` is `/problems/` with one of the names \
that the answers below list; `errors` has each field with its reason. \
Besides the answers that are listed for a route, a request that is not valid HTTP gets 400, an \
unknown path 404, a method that the path does not have 405, and a fault of the gateway 500.

**Ask about a request** by its `X-Request-Id`: it is in every answer but a rejection for load, and \
in every log line of the request; one that went as it should has none. \
A request that brings an id keeps it.

**This document** covers every route of the clients' listener. \
A process of the role `core` or `query` serves a part of them and answers 421 for the others. \
Operators' routes (`/v1/admin/…`) are on a listener of their own, which serves its own document.""",
    keys="""\
An API key, as in `Authorization: Bearer tg_…`. \
`tidegate keys create` makes one, with its roles and, if wanted, its channels. \
`ingest` submits orders and changes remarks; `query` reads, personal data masked; `query_pii` \
reads it in clear; `operate` does what people do to orders; `admin` may do all of that but read \
in clear.

A key made with `--test` is a sandbox: it places and sees test orders only, whose numbers are \
apart from those of live orders.""",
    tags={
        ORDERS: "Submit orders, find them, read them.",
        ACTIONS: "What a person does to an order, with whom it needs to agree.",
        LIVE: "What happens now, as a stream of events.",
        CALLBACKS: "What payment providers, shops and carriers report. The provider sends them, "
        "and its signature takes the place of an API key; replies are in its own format.",
        PROCESS: "For load balancers and monitoring.",
        DOCUMENTS: _DOCUMENTS,
    },
    named={"Status": Status, "Hold": Hold},
)

OPERATORS = Api(
    title="Tidegate for operators",
    summary="Overrides of load shedding, plans for a sale, and what needs a person.",
    description="""\
Covers every route of the operators' listener (`admin_host`, `admin_port`).
The clients' routes are on a listener of their own, which serves its own document.

Every change is stored together with its row of the audit log.

**Errors** are `application/problem+json` (RFC 9457). `type` is `/problems/` with one of the names \
that the answers below list; `errors` has each field with its reason.

**Ask about a request** by its `X-Request-Id`, which is in every answer and in the log.""",
    keys="An API key with the role `operate`, as in `Authorization: Bearer tg_…`. "
    "`tidegate keys create` makes one.",
    tags={
        LOAD: "How loaded the process is that answers.",
        OVERRIDES: "Shed or admit a feature or a tier, whatever the load.",
        PLANS: "Overrides planned for a sale, step by step.",
        PARKED: "Messages that could not be booked: read, replayed, closed.",
        DELIVERIES: "What targets were told and must still be told.",
        MISSED: "Orders that no warehouse has accepted in time: listed, pushed.",
        EXCEPTIONS: "What stops an order from going its way and needs a person.",
        DOCUMENTS: _DOCUMENTS,
    },
    named={},
)
