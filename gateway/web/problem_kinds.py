"""The kinds of error answers: a closed list with status and title, and what a client does about it.

The reference page of the errors is generated from here.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind. ``meaning`` says when it is answered, ``remedy`` what the client does about it."""

    status: int
    title: str
    meaning: str
    remedy: str


#: The last part of the ``type`` of a problem -> its kind.
KINDS: Mapping[str, Kind] = {
    "malformed": Kind(
        400,
        "Malformed request",
        "The request is not valid HTTP, its body is not JSON, or a header is repeated or out of "
        "bounds.",
        "Correct the client; `detail` or `errors` says what is wrong. The same request fails "
        "again.",
    ),
    "unauthorised": Kind(
        401,
        "Unauthorized",
        "There is no API key in `Authorization`, or it is unknown or revoked.",
        "Send `Authorization: Bearer tg_…`. `tidegate keys list` shows which keys are valid, "
        "`tidegate keys create` makes one.",
    ),
    "forbidden": Kind(
        403,
        "Forbidden",
        "The key does not have the role that the route requires, or not the channel of the order; "
        "or it is limited to channels, and the route is about all of them.",
        "Use a key with that role and channel, or create one. Roles of a key cannot be changed.",
    ),
    "not-found": Kind(
        404,
        "Not found",
        "Nothing has this path; or no order of the key's channels has this id; or the provider "
        "account is not configured.",
        "Compare the path with `/openapi.json`. An account of a callback must be in "
        "`tidegate.toml`, and have been read since.",
    ),
    "method-not-allowed": Kind(
        405,
        "Method not allowed",
        "The path exists, with other methods.",
        "Use one of the methods in `Allow`.",
    ),
    "slow-body": Kind(
        408,
        "Request timeout",
        "The body did not arrive within `body_s`. The connection is closed.",
        "Send it again, on a connection that keeps up.",
    ),
    "conflict": Kind(
        409,
        "Order number already in use",
        "The channel has an order with this number and another payload. `context` has both.",
        "Do not retry. Compare `existing` with what was sent: one of the two orders needs another "
        "number.",
    ),
    "not-allowed": Kind(
        409,
        "Not allowed as the order is",
        "The order's status, hold, parcels or payments do not allow the action, or the approval "
        "was decided or has expired: `detail` says why. `context` has the order's state and what "
        "is `allowed`. Nothing is changed.",
        "Do not retry as it is: do what `detail` names first, or one of what is `allowed`.",
    ),
    "version-changed": Kind(
        412,
        "Version changed",
        "The order has no longer the version that `If-Match` names. `context` has the version.",
        "Read the order again, and decide again.",
    ),
    "unreadable": Kind(
        409,
        "Order cannot be opened",
        "The private part of the order, which remark and address are in, or the request of an "
        "approval, is damaged or sealed with a key that the gateway lacks. Nothing is changed.",
        "Do not retry. For the operator: see `ops/runbooks/keys.md`.",
    ),
    "out-of-stock": Kind(
        409,
        "Out of stock",
        "The inventory says that items are unavailable; `errors` names their lines. Nothing is "
        "stored.",
        "Take the lines out, or send the order again when the goods are back.",
    ),
    "too-large": Kind(
        413,
        "Payload too large",
        "The body is larger than `order_bytes_max` or `callback_bytes_max`, or than the limit that "
        "`detail` names. The connection is closed.",
        "Send less; the same request fails again.",
    ),
    "uri-too-long": Kind(
        414,
        "URI too long",
        "The request line is longer than the gateway reads. The connection is closed.",
        "Shorten the query; the same request fails again.",
    ),
    "unsupported-media-type": Kind(
        415,
        "Unsupported media type",
        "The body is not declared as JSON in UTF-8, has a coding other than gzip or deflate, or is "
        "a compressed callback.",
        "Send `Content-Type: application/json`; send callbacks as they were signed.",
    ),
    "misdirected": Kind(
        421,
        "Misdirected request",
        "The process has the role `core` or `query`, and the path is served by the other one.",
        "For the operator: correct the routing of the load balancer, see `ops/front/README.md`.",
    ),
    "invalid": Kind(
        422,
        "Validation failed",
        "The request can be read and says something that cannot be: `errors` has each wrong field "
        "with its reason.",
        "Correct these fields; the same request fails again.",
    ),
    "key-reused": Kind(
        422,
        "Idempotency-Key already used",
        "The key was used in this channel with another payload, and `context` has both; or the API "
        "key used it for another action.",
        "Do not retry. What is new needs a key of its own; a repeat must have the first payload.",
    ),
    "parked": Kind(
        422,
        "Order parked for review",
        "The database cannot store this one order. It was parked under the id in `context`, "
        "for an operator.",
        "Do not retry. Give the operator the id.",
    ),
    "quota-exceeded": Kind(
        429,
        "Rate limit exceeded",
        "The key is beyond `key_requests_per_s_max`, or the channel beyond its `orders_per_s_max`. "
        "Nothing is stored.",
        "Send it again after the seconds in `Retry-After`, and slower.",
    ),
    "headers-too-large": Kind(
        431,
        "Request header fields too large",
        "There are more headers, or longer ones, than the gateway reads. The connection is closed.",
        "Send less in the headers; the same request fails again.",
    ),
    "internal": Kind(
        500,
        "Internal server error",
        "The gateway has a defect. Its log has the traceback.",
        "A submission may be sent again: a repeat is recognised. Report the log's traceback.",
    ),
    "unavailable": Kind(
        503,
        "Service unavailable",
        "A server that is needed did not answer in time, or a limit of the process is reached: "
        "`detail` names it. Whether the request was stored may not be known.",
        "Send the same request again after `Retry-After`: if it was stored, it is a repeat.",
    ),
    "overloaded": Kind(
        503,
        "Service overloaded",
        "The request was rejected because of load, or by an operator, before it was read: "
        "`context` has the feature, its tier and the reason. Nothing is stored.",
        "Send the same request again after the seconds in `Retry-After`, which differ from answer "
        "to answer.",
    ),
}
