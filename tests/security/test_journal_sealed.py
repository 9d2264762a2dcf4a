"""What is private is sealed before it reaches the journal."""

from typing import Any

import msgspec
import redis

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from ops.harness.ports import free_port
from tests.domain.support import paid, submission
from tests.stores.support import submit, tell


async def test_the_journal_holds_nothing_private_in_clear(
    settings: Settings, journal_server: "redis.Redis"
) -> None:
    away = msgspec.structs.replace(
        settings, database_url=f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    )
    sent = submission(1, remark="whistle softly")
    async with open_gateway(away) as gateway:
        assert (await submit(gateway, sent, "key-1")).is_journaled
        assert (await tell(gateway, paid(), raw=b'{"card":"4242"}')).outcome == "journaled"
    kept = b"".join(_everything(journal_server))
    to = sent.to
    for private in (to.name, to.phone, to.street, "whistle softly", "4242"):
        assert private and private.encode() not in kept
    # The search finds what may be found.
    assert sent.order_no.encode() in kept


def _everything(client: Any) -> list[bytes]:
    stored: list[bytes] = []
    for key in client.scan_iter(count=1000):
        stored.append(key)
        if client.type(key) == b"stream":
            stored += [value for _, fields in client.xrange(key) for value in fields.values()]
        else:
            stored.append(client.get(key))
    assert sum(b"placements" in each or b"follow_ups" in each for each in stored) == 2
    return stored
