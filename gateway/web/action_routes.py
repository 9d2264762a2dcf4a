"""The routes of actions: what a person does to an order."""

from gateway.domain import features
from gateway.domain.releases import Release
from gateway.web import apis
from gateway.web.handlers.orders import OrderResult
from gateway.web.handlers.releases import ReleaseHandler
from gateway.web.order_routes import AUTH, LOAD, ORDER_ID
from gateway.web.routing import Answer, Route


def all_routes(*, releases: ReleaseHandler) -> list[Route]:
    """Return the routes of actions over these handlers."""
    return [
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
            parameters=[ORDER_ID],
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
                "malformed", *AUTH, "not-found", "slow-body", "too-large",
                "unsupported-media-type", "invalid", "unavailable", *LOAD,
            ],
        ),
    ]  # fmt: skip
