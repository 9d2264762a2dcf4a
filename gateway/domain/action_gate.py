"""The gate that actions pass before they are folded, and what they were answered. No I/O."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec

from gateway.domain import action_rules, events, followup_rows, parcels
from gateway.domain.asking import ActionAnswer, Asked, Refusal
from gateway.domain.folding import Rules
from gateway.domain.following import Done, FollowUp, OrderState, Step
from gateway.domain.followup_payments import KnownPayments
from gateway.domain.followup_rows import Context

#: Events that count by when they were said.
_WORDS = (
    events.HeldByPerson, events.Released, events.Reopened, events.Closed, events.Shipped,
)  # fmt: skip
_NEXT = timedelta(microseconds=1)
_REUSED = Refusal("key_reused", "the Idempotency-Key was used for something else")


class ActionGate:
    """Decides about the actions of a batch, each against its order as it is by then."""

    def __init__(self, *, context: Context, payments: KnownPayments, rules: Rules) -> None:
        self._payments = payments
        self._rules = rules
        self._answered: Mapping[tuple[str, str], ActionAnswer] = context.answers
        self._unreadable: frozenset[UUID] = context.unreadable
        #: What was answered in this batch, by (source, source_key).
        self.answers: dict[tuple[str, str], ActionAnswer] = {}

    def repeated(self, entry: FollowUp) -> Done | None:
        """Return what an action that is recorded was answered; None where that is not known."""
        key, asked = (entry.source, entry.source_key), entry.asked
        answer = self.answers.get(key) or self._answered.get(key)
        if asked is None or answer is None:
            return None
        state = answer.status, answer.version, answer.hold
        if answer.digest != asked.digest:
            return Done("refused", answer.order_id, refusal=_REUSED)
        if answer.refusal is not None:
            refusal = Refusal("not_allowed", answer.refusal)
            return Done("refused", answer.order_id, None, *state, refusal=refusal)
        return Done("repeat", answer.order_id, None, *state)

    def stopped(self, entry: FollowUp, asked: Asked, order: OrderState | None) -> Done | None:
        """Return the answer to an action that changes nothing; None where it is to be folded."""
        verdict = self._verdict(entry, asked, order)
        if isinstance(verdict, Refusal):
            return followup_rows.done(Step("refused"), order, refusal=verdict)
        if verdict == "same":
            return followup_rows.done(Step("repeat"), order)
        return followup_rows.done(Step("noted"), order) if asked.is_trial else None

    def as_latest(self, entry: FollowUp, order: OrderState | None) -> FollowUp:
        """Return an action as the latest word about its locked order.

        It was judged on the order as it is, so it counts after all that was said before, whatever
        the clocks of two gateways say, and however long ago a parcel left.
        """
        event = entry.event
        if order is None or not isinstance(event, _WORDS):
            return entry
        said = [order.held_at, order.released_at, order.reopened_at, order.closed_at]
        if isinstance(event, events.Shipped):
            known = parcels.known_by_tracking_no(event.tracking_no, order)
            said = [known.cancelled_at if known is not None else None]
        last = max((at for at in said if at is not None), default=None)
        if last is None or event.occurred_at > last:
            return entry
        replace = msgspec.structs.replace
        return replace(entry, event=replace(event, occurred_at=last + _NEXT))

    def refused_late(
        self, entry: FollowUp, asked: Asked, order: OrderState | None
    ) -> Refusal | None:
        """Return why an action that was journaled cannot be done; None: it is folded.

        What must come first may be journaled as well: where that is missing, the event waits.
        """
        verdict = self._verdict(entry, asked, order)
        if not isinstance(verdict, Refusal) or verdict.kind == "too_early":
            return None
        if order is not None:
            self.answer(entry, asked, order, refusal=verdict.detail)
        return verdict

    def answer(
        self, entry: FollowUp, asked: Asked, order: OrderState, *, refusal: str | None = None
    ) -> None:
        """Keep what an action is answered, for its repeats."""
        key = entry.source, entry.source_key
        self.answers[key] = ActionAnswer(
            *key, order.id, asked.digest, order.status, order.version, order.hold, refusal
        )

    def _verdict(
        self, entry: FollowUp, asked: Asked, order: OrderState | None
    ) -> action_rules.Verdict:
        return action_rules.judge(
            entry.event,
            asked,
            order,
            named=self._payments.named(entry.provider, entry.event),
            takes_parts=order is None or self._rules.takes_parts(order.channel),
            is_readable=order is None or order.id not in self._unreadable,
        )
