"""One of two targets is slow, half-open, cut, or answers late: the other one is not delayed."""

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from gateway.runtime.settings_targets import Target
from loadtest import handoff_checks
from loadtest.handoff import recorder
from loadtest.handoff.recorder import Behaviour, Receipt
from loadtest.ledger_contents import Stored
from loadtest.verify import Check
from ops.embedded.cluster import JOURNAL
from tests.support.cable import Cable
from tests.torture import handing_on
from tests.torture.fault import Fault
from tests.torture.world import World

#: No other delivery may take longer: far above what one takes on a busy machine, and far below
#: what each would take behind a target that is away.
_DELAY_MAX_S = 3.0
_STREAM = "orders"


class OneTarget(Fault):
    """Of two targets one is disturbed; deliveries to the other go on, and no gateway minds."""

    sees = "tidegate_deliveries_pending of this target rises; that of others does not."
    do = "Look at the target: `tidegate deliveries` says why its attempts fail."
    targets = 2
    refusals = frozenset()
    lasts_s, quick_s = 60.0, 6.0
    rate, senders = 50.0, 16

    def __init__(self) -> None:
        self._began_s = self._ended_s = 0.0

    async def strike(self, world: World) -> None:
        self._began_s = time.time()
        await self.disturb(world)

    async def mend(self, world: World) -> None:
        self._ended_s = time.time()
        await self.restore(world)

    async def disturb(self, world: World) -> None:
        """Begin the trouble of the last target."""
        raise NotImplementedError

    async def restore(self, world: World) -> None:
        """End it."""
        raise NotImplementedError

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """While one target was disturbed, nothing was late at the other."""
        healthy = recorder.read(world.receivers[0].file)
        took_s = await handing_on.delays(
            world, healthy, began_s=self._began_s, ended_s=self._ended_s
        )
        lasted_s = self._ended_s - self._began_s
        world.say(
            f"{len(took_s):,} changes within {lasted_s:.0f} s of trouble at another target: "
            f"{handing_on.spread(took_s)}"
        )
        late = sum(each > _DELAY_MAX_S for each in took_s)
        return [
            Check("there was something to deliver meanwhile", True, len(took_s) > lasted_s),
            Check("late at the target that was well", 0, late),
        ]


class BadCable(OneTarget):
    """The connections to one target are bad."""

    def __init__(self, name: str, begin: Callable[[Cable], None], *, minutes: float = 1.0) -> None:
        super().__init__()
        self.name = f"hand-off: target {name}"
        self.lasts_s = 60.0 * minutes
        self._begin = begin
        self._cable: Cable | None = None

    async def prepare(self, world: World) -> None:
        """The worker reaches the last target through a cable."""
        *others, last = world.settings.targets
        self._cable = cable = Cable(last.url)
        await cable.lay()
        world.change(targets=[*others, msgspec.structs.replace(last, url=cable.url)])

    async def disturb(self, world: World) -> None:
        assert self._cable is not None, "prepare lays it"
        self._begin(self._cable)

    async def restore(self, world: World) -> None:
        assert self._cable is not None, "prepare lays it"
        self._cable.mend()

    async def release(self, world: World) -> None:
        if self._cable is not None:
            await self._cable.remove()


class BadAnswers(OneTarget):
    """One target answers in another way than it should."""

    def __init__(self, name: str, behaviour: Behaviour) -> None:
        super().__init__()
        self.name = f"hand-off: target {name}"
        self._behaviour = behaviour

    async def disturb(self, world: World) -> None:
        await world.receivers[-1].behave(self._behaviour)

    async def restore(self, world: World) -> None:
        await world.receivers[-1].behave(Behaviour())


class RedisAway(OneTarget):
    """One target is a stream, whose server is killed; webhooks go on."""

    name = "hand-off: redis away"
    sees = "tidegate_deliveries_pending of the stream rises; webhooks are delivered as ever."
    do = "Restore the server of the stream; what waits is appended in order."
    targets = 1
    #: Its server keeps the journal too, which nothing needs while PostgreSQL is there.
    lasts_s, quick_s = 30.0, 6.0

    async def prepare(self, world: World) -> None:
        stream = Target(
            name=_STREAM,
            kind="redis_stream",
            url=world.servers.journal_url,
            private_addresses=["127.0.0.1"],
            options={"stream": _STREAM},
            attempts_max=100,
            retry_first_s=0.2,
            retry_max_s=5.0,
            call_s=2.0,
        )
        world.change(targets=[*world.settings.targets, stream])

    async def disturb(self, world: World) -> None:
        await world.kill_server(JOURNAL)

    async def restore(self, world: World) -> None:
        await world.restart_server(JOURNAL)

    async def judge(self, world: World, found: Stored) -> Sequence[Check]:
        """Everything is in the stream, in order per order, and webhooks were not delayed."""
        checks = list(await super().judge(world, found))
        await handoff_checks.settle(world.database_url, _STREAM, within_s=30.0)
        handed_on = await handoff_checks.read_from(world.database_url, _STREAM)
        async with world.journal() as client:
            entries: Any = await client.xrange(_STREAM)
        receipts = [_receipt(fields) for _, fields in entries]
        checks += handing_on.named(_STREAM, handoff_checks.verify(handed_on, receipts))
        return checks


def _receipt(fields: dict[bytes, bytes]) -> Receipt:
    text = {name.decode(): value.decode() for name, value in fields.items() if name != b"body"}
    return Receipt(
        id=text["event_id"],
        event_id=UUID(text["event_id"]),
        topic=text["topic"],
        order_id=UUID(text["order_id"]),
        version=int(text["version"]),
        status="",
        at_s=0.0,
    )


FAULTS: list[Fault] = [
    BadCable("slow", lambda cable: cable.slow(1.0)),
    BadCable("trickling", lambda cable: cable.trickle(16, 0.2)),
    BadCable("half-open", lambda cable: cable.silence()),
    BadCable("whose answers are lost", lambda cable: cable.lose_answers()),
    # As long as the promise says: down for ten minutes.
    BadCable("cut", lambda cable: cable.cut(), minutes=10.0),
    BadAnswers("answers 200 too late", Behaviour(delay_s=3.0)),
    BadAnswers("answers 503", Behaviour(status=503)),
    BadAnswers("redirects", Behaviour(status=307, location="http://127.0.0.1:1/elsewhere")),
    RedisAway(),
]
