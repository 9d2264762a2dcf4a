"""The gate that actions pass before they are folded, and what they were answered. No I/O."""

from collections.abc import Mapping
from uuid import UUID

from gateway.domain import action_rules
from gateway.domain.asking import ActionAnswer, Asked, Refusal
from gateway.domain.folding import Rules
from gateway.domain.following import Done, FollowUp, OrderState, Outcome
from gateway.domain.followup_payments import KnownPayments
from gateway.domain.followup_rows import Context

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
        if answer.digest != asked.digest:
            return Done("refused", answer.order_id, refusal=_REUSED)
        state = answer.status, answer.version, answer.hold
        return Done("repeat", answer.order_id, None, *state)

    def stopped(self, entry: FollowUp, asked: Asked, order: OrderState | None) -> Done | None:
        """Return the answer to an action that changes nothing; None where it is to be folded."""
        verdict = self._verdict(entry, asked, order)
        if isinstance(verdict, Refusal):
            return done("refused", order, refusal=verdict)
        if verdict == "same":
            return done("repeat", order)
        return done("noted", order) if asked.is_trial else None

    def refused_late(
        self, entry: FollowUp, asked: Asked, order: OrderState | None
    ) -> Refusal | None:
        """Return why an action that was journaled cannot be done; None: it is folded.

        What must come first may be journaled as well: where that is missing, the event waits.
        """
        verdict = self._verdict(entry, asked, order)
        is_final = isinstance(verdict, Refusal) and verdict.kind != "too_early"
        return verdict if is_final and isinstance(verdict, Refusal) else None

    def answer(self, entry: FollowUp, asked: Asked, order: OrderState) -> None:
        """Keep what an action is answered, for its repeats."""
        key = entry.source, entry.source_key
        self.answers[key] = ActionAnswer(
            *key, order.id, asked.digest, order.status, order.version, order.hold
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


def done(outcome: Outcome, order: OrderState | None, *, refusal: Refusal | None = None) -> Done:
    """Return an answer with the state of the order as it is."""
    if order is None:
        return Done(outcome, refusal=refusal)
    state = order.status, order.version, order.hold
    return Done(outcome, order.id, None, *state, refusal=refusal)
