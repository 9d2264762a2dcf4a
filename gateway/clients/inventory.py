"""The client of a merchant's inventory: one question, one small answer, one short deadline.

    POST {inventory_url}   {"channel": "web", "items": [{"sku": "A-1", "quantity": 2}]}
    200                    {"unavailable": ["A-1"]}

Any other answer, and a later one, counts as no answer. The inventory is the merchant's own: its
address comes from the settings, and may be private and in plain http.
"""

import msgspec
from msgspec import Struct

from gateway.clients.address_guard import ANYWHERE
from gateway.clients.http_client import CallFailed, HttpClient
from gateway.domain.errors import Unavailable
from gateway.domain.orders import Submission

#: Every SKU of the largest order, and many that were not ordered.
_ANSWER_BYTES_MAX = 64 * 1024


class _Item(Struct):
    sku: str
    quantity: int


class _Question(Struct):
    channel: str
    items: list[_Item]


class _Answer(Struct):
    unavailable: list[str]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Answer).decode


class HttpInventory:
    """Asks the inventory over HTTP. ``close`` it; until the first question it opens nothing."""

    def __init__(self, *, url: str, token: str, call_s: float, calls_max: int) -> None:
        """``calls_max``: calls at once."""
        self._url = url
        #: Sent as a bearer token unless empty; may be replaced at any time.
        self.token = token
        self._client = HttpClient(
            call_s=call_s,
            answer_bytes_max=_ANSWER_BYTES_MAX,
            connections_max=calls_max,
            guard=ANYWHERE,
            is_https_only=False,
            is_reusing=True,
            headers={"Content-Type": "application/json"},
        )

    async def missing(self, submission: Submission) -> list[str]:
        """Return the SKUs that are out of stock, of any order. Raises ``Unavailable``."""
        items = [_Item(item.sku, item.quantity) for item in submission.items]
        question = _encode(_Question(submission.channel, items))
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = await self._client.post(self._url, question, headers=headers)
            if answer.status != 200:
                raise Unavailable("inventory")
            return _decode(answer.body).unavailable
        except (CallFailed, ValueError, RecursionError) as exc:
            # ValueError: not JSON, not UTF-8 or another shape; RecursionError: nested too deep.
            raise Unavailable("inventory") from exc

    async def close(self) -> None:
        """Abandon the questions that are running."""
        await self._client.close()
