"""From a fault to the channels and back, once each, by however many workers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.domain import alerts
from gateway.domain.alerts import CLEAR_S, AlertRule, Message, State, Watch
from gateway.domain.errors import Unavailable
from gateway.stores.postgres.alerts import Alerts, Claimed
from gateway.stores.redis.alert_claims import AlertClaims
from gateway.wiring import Gateway
from tests.stores.support import Database
from tests.support.fakes.clock import ManualClock
from workers import alert_figures
from workers import alerts as alerting
from workers.alert_book import CLAIM_S, REPEAT_S, AlertBook
from workers.alert_figures import Figures
from workers.alerts import AlertChannel, Alerting
from workers.rounds import Rounds

RULES = [
    AlertRule("parked", "parked", 1, 0, "ticket", "Messages are parked", "parked.md"),
    AlertRule(
        "postgres_unavailable",
        "postgres_unavailable",
        1,
        3,
        "page",
        "Postgres is away",
        "faults.md",
    ),
]


class Chat:
    """A channel that takes what it is sent, or says why it does not."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.reason = ""

    async def send(self, messages: Sequence[Message]) -> str:
        if not self.reason:
            self.titles += [f"{each.state} {each.rule} {each.value:g}" for each in messages]
        return self.reason

    async def close(self) -> None:
        """Nothing is open."""


class Switchable:
    """The ledger's alerts, which can be away."""

    def __init__(self, alerts: Alerts) -> None:
        self.alerts = alerts
        self.is_away = False

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("postgres")

    async def figures(self) -> dict[str, float]:
        self._check()
        return await self.alerts.figures()

    async def claim(
        self, channel: str, states: Mapping[str, State], values: Mapping[str, float], now: datetime
    ) -> Claimed:
        self._check()
        return await self.alerts.claim(channel, states, values, now)

    async def told(self, channel: str, states: Mapping[str, State], now: datetime) -> None:
        self._check()
        await self.alerts.told(channel, states, now)


async def _none_missed() -> float:
    return 0.0


class Worker:
    """A worker's alerting over the real stores, with a clock that is moved by hand."""

    def __init__(
        self, gateway: Gateway, clock: ManualClock, chat: Chat, *, redis: bool = True
    ) -> None:
        self.ledger = Switchable(
            Alerts(pool=gateway.stores.primary, claim_s=CLAIM_S, repeat_s=REPEAT_S)
        )
        self.claims = AlertClaims(
            url=gateway.settings.redis_url, call_s=2.0, claim_s=CLAIM_S, repeat_s=REPEAT_S
        )
        self.to = AlertChannel("chat", chat, 60_000, False)
        self.alerting = Alerting(
            figures=Figures(
                ledger=self.ledger, missed=_none_missed, states=None, journal=None, faults=list
            ),
            rules=RULES,
            channels=[self.to],
            book=AlertBook(ledger=self.ledger, redis=self.claims if redis else None, clock=clock),
            clock=clock,
            rounds=Rounds(task="alerts", clock=clock, overdue_s=60.0),
            runbook_url="",
        )

    async def round(self) -> None:
        await self.alerting.round()
        await self.alerting.tell(self.to)


async def park(ledger: Database) -> None:
    await ledger.execute(
        "INSERT INTO parked (id, source, source_key, reason, received_at) "
        "VALUES (gen_random_uuid(), 'test', 'k', 'poison', now())"
    )


async def resolve(ledger: Database) -> None:
    await ledger.execute("UPDATE parked SET resolved_at = now()")


def test_a_fault_of_a_server_is_told_in_time() -> None:
    reading_s = alerting._ROUND_S + alert_figures._ANSWER_S
    for rule in alerts.RULES:
        if rule.figure in ("postgres_unavailable", "redis_unavailable"):
            # Seen at the end of one reading, fired at the end of the first one after its time.
            assert 2 * reading_s + rule.for_s + alerting._TELL_S < alerting.TOLD_S


async def test_two_workers_tell_of_a_fault_and_of_its_end_once(
    gateway: Gateway, ledger: Database
) -> None:
    clock, chat = ManualClock(), Chat()
    workers = [Worker(gateway, clock, chat) for _ in range(2)]
    for worker in workers:
        await worker.round()
    assert chat.titles == []
    await park(ledger)
    for _ in range(3):
        clock.at_s += 2
        for worker in workers:
            await worker.round()
    assert chat.titles == ["firing parked 1"]
    await resolve(ledger)
    for at_s in (0.0, CLEAR_S, 2.0):
        clock.at_s += at_s
        for worker in workers:
            await worker.round()
    assert chat.titles == ["firing parked 1", "resolved parked 0"]


async def test_what_one_worker_sees_and_another_does_not_is_told_once(
    gateway: Gateway, ledger: Database
) -> None:
    """A task of one worker fails: the other one, whose tasks do not, must not take it back."""
    clock, chat = ManualClock(), Chat()
    failing, well = Worker(gateway, clock, chat), Worker(gateway, clock, chat)
    rule = AlertRule("worker_task", "failing_tasks", 1, 0, "page", "A task fails", "faults.md")
    faults = ["relay"]
    failing.alerting._figures._faults = lambda: faults
    for worker in (failing, well):
        worker.alerting._rules = [rule]
        worker.alerting._watches = {rule.name: Watch()}
    for _ in range(12):
        clock.at_s += 2
        for worker in (well, failing):
            await worker.round()
    assert chat.titles == ["firing worker_task 1"]
    # It is over, or that worker is gone: either way the other one says so.
    for _ in range(6):
        clock.at_s += 2
        await well.round()
    assert chat.titles == ["firing worker_task 1", "resolved worker_task 0"]


async def test_what_a_channel_refused_is_told_again(gateway: Gateway, ledger: Database) -> None:
    clock, chat = ManualClock(), Chat()
    first, second = Worker(gateway, clock, chat), Worker(gateway, clock, chat)
    await park(ledger)
    chat.reason = "answered 500"
    await first.round()
    chat.reason = ""
    # The claim of the first is not over.
    await second.round()
    assert chat.titles == []
    clock.at_s += CLAIM_S + 1
    await second.round()
    await first.round()
    assert chat.titles == ["firing parked 1"]
    # What still fires after hours is told again.
    clock.at_s += REPEAT_S + 1
    await first.round()
    await second.round()
    assert chat.titles == ["firing parked 1"] * 2


async def test_while_the_ledger_is_away_one_worker_tells_and_takes_it_back(
    gateway: Gateway, ledger: Database
) -> None:
    clock, chat = ManualClock(), Chat()
    workers = [Worker(gateway, clock, chat) for _ in range(2)]
    await park(ledger)
    for worker in workers:
        await worker.round()
        await worker.round()
    assert chat.titles == ["firing parked 1"]
    for worker in workers:
        worker.ledger.is_away = True
    for _ in range(3):
        clock.at_s += 2
        for worker in workers:
            await worker.round()
    # Of what was told before, nothing is told again.
    assert chat.titles[1:] == ["firing postgres_unavailable 1"]
    for worker in workers:
        worker.ledger.is_away = False
    for at_s in (0.0, CLEAR_S, 2.0):
        clock.at_s += at_s
        for worker in workers:
            await worker.round()
    assert chat.titles[2:] == ["resolved postgres_unavailable 0"]
    # And the next time the same.
    for worker in workers:
        worker.ledger.is_away = True
    for _ in range(3):
        clock.at_s += 2
        for worker in workers:
            await worker.round()
    assert chat.titles[3:] == ["firing postgres_unavailable 1"]
    for worker in workers:
        await worker.claims.close()


async def test_with_both_away_a_worker_tells_by_itself(gateway: Gateway, ledger: Database) -> None:
    clock, chat = ManualClock(), Chat()
    worker = Worker(gateway, clock, chat, redis=False)
    worker.ledger.is_away = True
    for _ in range(4):
        clock.at_s += 2
        await worker.round()
    assert chat.titles == ["firing postgres_unavailable 1"]
    worker.ledger.is_away = False
    for at_s in (2.0, CLEAR_S, 2.0):
        clock.at_s += at_s
        await worker.round()
    assert chat.titles[1:] == ["resolved postgres_unavailable 0"]


async def test_a_silenced_alert_is_told_of_afterwards(gateway: Gateway, ledger: Database) -> None:
    clock, chat = ManualClock(), Chat()
    worker = Worker(gateway, clock, chat)
    until = clock.now().replace(microsecond=0)
    clock.at_s -= 3600
    store = worker.ledger.alerts
    await store.silence("parked", ["chat"], until, actor="sre", reason="known")
    await park(ledger)
    await worker.round()
    assert chat.titles == []
    clock.at_s += 3601
    await worker.round()
    assert chat.titles == ["firing parked 1"]
    (told,) = [each for each in await store.all() if each.rule == "parked"]
    assert told.told_at is not None
    assert await ledger.fetchval("SELECT count(*) FROM audit_log WHERE action = 'silence_alert'")


async def test_tickets_do_not_go_to_a_channel_for_pages(gateway: Gateway, ledger: Database) -> None:
    clock, chat = ManualClock(), Chat()
    worker = Worker(gateway, clock, chat)
    worker.to = AlertChannel("chat", chat, 60_000, True)
    await park(ledger)
    await worker.round()
    assert chat.titles == []
