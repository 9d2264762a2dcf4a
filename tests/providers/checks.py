"""The invariants of every adapter, one check each; a failure names the place.

Each check takes a ``Subject``, so the controls can hand it an adapter that breaks the promise.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import get_args

import msgspec

from gateway.domain import events, orders
from gateway.providers import contract, registry
from ops.simulation import script
from ops.simulators.contract import Forgery, Kind, Posted

from . import subjects
from .subjects import Subject
from .support import NOW, check_storable

_EVENTS: Mapping[Kind, type[object]] = {
    "placed": orders.Submission,
    "paid": events.PaymentSucceeded,
    "part_paid": events.PaymentSucceeded,
    "rest_paid": events.PaymentSucceeded,
    "partial_refund": events.RefundSucceeded,
    "refund_failed": events.RefundFailed,
    "refund": events.RefundSucceeded,
    "dispute_opened": events.Dispute,
    "dispute_won": events.Dispute,
    "dispute_lost": events.Dispute,
    "closed": events.Closed,
    "shipped": events.Shipped,
    "delivered": events.Delivered,
}
_ATTEMPTS = 3
#: No message of any provider has one of these.
_ODD_BODIES = [
    b"", b" ", b"{}", b"[]", b"null", b"\xff\xfe", b"\x00" * 100, b"[" * 60_000,
    b'{"a":' * 9000, b"a=b&" * 9000, b"=&=&", b"%", b"%ff=%00", b'{"a":1e400}', b"NaN",
    b'"\\ud800"', b"9" * 60_000, b"x" * 2_000_000,
]  # fmt: skip


def replies(subject: Subject, documented: Mapping[str, tuple[int, str, bytes]]) -> None:
    """The three replies are the documented ones, and the provider understands them."""
    name = subject.name
    for answer in get_args(contract.Answer):
        reply = subject.adapter.reply(answer)
        found = (reply.status, reply.content_type, reply.body)
        assert found == documented[answer], (
            f"{name}: the reply {answer!r} is {found}, and gateway/providers/{name}.md says "
            f"{documented[answer]}"
        )
        is_ok = {"accepted": reply.status == 200, "later": reply.status == 503}.get(
            answer, 400 <= reply.status < 500
        )
        assert is_ok, f"{name}: the reply {answer!r} has the status {reply.status}"
        taken = subject.simulator.is_acknowledged(reply.status, reply.content_type, reply.body)
        assert taken == (answer == "accepted"), (
            f"{name}: ops/simulators/{name}.py {'takes' if taken else 'does not take'} the reply "
            f"{answer!r} for an acknowledgement"
        )


def describes(subject: Subject) -> None:
    """What the OpenAPI document says of it is so: its replies, and the media types it sends."""
    name, described = subject.name, registry.PROVIDERS[subject.name]
    for answer in get_args(contract.Answer):
        assert described.replies[answer] == subject.adapter.reply(answer), (
            f"{name}: PROVIDER has another reply {answer!r} than the adapter"
        )
    sent = {
        _media_type(subject.simulator.message(kind, subject.trade(), at=NOW))
        for kind in subject.played.KINDS
    }
    assert sent == set(described.body_types), (
        f"{name}: PROVIDER says that it sends {', '.join(described.body_types)}, and "
        f"ops/simulators/{name}.py sends {', '.join(sorted(sent))}"
    )


def _media_type(posted: Posted) -> str:
    return posted.headers["Content-Type"].partition(";")[0]


def reads(subject: Subject, kind: Kind, currency: str) -> None:
    """A message of the simulator is read as the event of its kind."""
    name, trade = subject.name, subject.trade(currency=currency)
    reading = subjects.reading(subject.adapter, subject.simulator.message(kind, trade, at=NOW))
    where = f"{name}: the message {kind!r} of ops/simulators/{name}.py in {currency}"
    assert isinstance(reading, contract.Reading), f"{where} is rejected: {reading}"
    for item in reading.items:
        check_storable(item)
    read_events = [item.event for item in reading.items]
    assert not any(isinstance(event, events.Unmapped) for event in read_events), (
        f"{where} is unmapped"
    )
    # A courier's parcel that left is only noted: no message of a courier names the order.
    expected = (_EVENTS[kind], events.Noted) if kind == "shipped" else _EVENTS[kind]
    assert any(isinstance(event, expected) for event in read_events), (
        f"{where} yields only {read_events}"
    )
    payments = [event for event in read_events if isinstance(event, events.PaymentSucceeded)]
    if payments:
        # A shop's message tells all that was paid before, and this last.
        told = script.amount_of(kind, trade) if kind.endswith("_paid") else trade.amount
        assert (payments[-1].amount, payments[-1].currency) == (told, currency), f"{where}"


def keeps_keys(subject: Subject, kind: Kind) -> None:
    """A repeat is known by the same keys, and another order's message by others."""
    keys = []
    for attempt in range(_ATTEMPTS):
        posted = subject.simulator.message(kind, subject.trade(), at=NOW, attempt=attempt)
        keys.append(_keys(subject, posted))
    other = _keys(subject, subject.simulator.message(kind, subject.trade("T2"), at=NOW))
    assert all(found == keys[0] for found in keys), (
        f"{subject.name}: a repeat of {kind!r} has other keys, so it would count twice: {keys}"
    )
    assert not set(keys[0]) & set(other), (
        f"{subject.name}: two orders share a key of {kind!r}, so one would be lost: {other}"
    )


def _keys(subject: Subject, posted: Posted) -> list[str]:
    reading = subjects.reading(subject.adapter, posted)
    assert isinstance(reading, contract.Reading), f"{subject.name}: {reading}"
    return [item.key for item in reading.items]


def is_stable(subject: Subject, kind: Kind) -> None:
    """The same message has the same reading, again and by a new adapter."""
    posted = subject.simulator.message(kind, subject.trade(), at=NOW)
    anew = subjects.build(subject.name, subject.account)
    first, again, other = (
        subjects.reading(of, posted) for of in (subject.adapter, subject.adapter, anew)
    )
    assert first == again == other, (
        f"{subject.name}: one message {kind!r} reads as {first} and then as {again} or {other}; "
        "an adapter reads no clock and remembers nothing of a message"
    )


def decodes_what_it_read(subject: Subject, kind: Kind) -> None:
    """A message that is kept without its headers is decoded, much later, as it was read."""
    posted = subject.simulator.message(kind, subject.trade(), at=NOW)
    read = subjects.reading(subject.adapter, posted)
    assert isinstance(read, contract.Reading), f"{subject.name}: {read}"
    kept = contract.KeptMessage(posted.body, NOW, read.items[0].key)
    decoded = subject.adapter.decode(kept)
    assert decoded.items == read.items, (
        f"{subject.name}: a kept {kind!r} is decoded as {decoded.items}, and was read as "
        f"{read.items}; replays would count twice, or nothing"
    )


def rejects(subject: Subject, posted: Posted, what: str) -> str:
    """A forged message is rejected, and no other exception escapes."""
    where = f"{subject.name}: {what}"
    try:
        reading = subjects.reading(subject.adapter, posted)
    except Exception as error:
        raise AssertionError(
            f"{where}: {error!r} escaped; read may only raise errors.Rejected with a reason of "
            "contract.REASONS and a hint"
        ) from error
    assert isinstance(reading, str), f"{where} was accepted as {reading}"
    return reading


def rejects_forgery(subject: Subject, how: Forgery) -> set[str]:
    """A forgery of any kind is rejected. Returns the reasons."""
    found = set()
    for kind in subject.kinds:
        posted = subject.simulator.forged(how, kind, subject.trade(), at=NOW)
        found.add(rejects(subject, posted, f"the forgery {how!r} of {kind!r}"))
    return found


def rejects_strangers(subject: Subject) -> None:
    """True messages of another account, and of all other providers, are rejected."""
    theirs = subject.played.simulator(subject.played.create())
    for kind in subject.kinds:
        posted = theirs.message(kind, subject.trade(), at=NOW)
        rejects(subject, posted, f"{kind!r} of another account, with keys of its own")
    for name in subjects.complete():
        if name == subject.name:
            continue
        other = subjects.subject(name)
        for kind in sorted(other.played.KINDS):
            posted = subjects.posted(name, kind)
            rejects(subject, posted, f"{kind!r} of {name}")


def rejects_odd_bodies(subject: Subject) -> None:
    """Empty, huge, undecodable: rejected with genuine headers and with none."""
    posted = subject.simulator.message(subject.kinds[0], subject.trade(), at=NOW)
    for body in _ODD_BODIES:
        what = f"a body of {len(body)} bytes that begins {body[:12]!r}"
        rejects(subject, Posted(posted.headers, body), f"{what}, under true headers")
        rejects(subject, Posted({}, body), f"{what}, without headers")


def rejects_stale(subject: Subject, page: str) -> None:
    """An old signature is rejected as stale, or the page says that no time is signed."""
    if "stale" in subject.played.FORGERIES:
        reasons = rejects_forgery(subject, "stale")
        assert "stale" in reasons, f"{subject.name}: a stale message is rejected as {reasons}"
        ahead = subject.simulator.message(
            subject.kinds[0], subject.trade(), at=NOW + timedelta(days=30)
        )
        assert rejects(subject, ahead, "a message signed 30 days ahead") == "stale"
    else:
        assert "`stale`" in page, (
            f"{subject.name}: ops/simulators/{subject.name}.py forges nothing stale, and the page "
            "does not say why nothing is rejected as `stale`"
        )


def explains_reasons(subject: Subject, page: str) -> None:
    """The page explains every reason that a forgery is rejected for."""
    reasons = {"not_ours"}
    for how in sorted(subject.played.FORGERIES):
        reasons |= rejects_forgery(subject, how)
    for reason in sorted(reasons):
        assert f"`{reason}`" in page, (
            f"gateway/providers/{subject.name}.md does not explain the reason `{reason}`"
        )


def configures(subject: Subject, page_options: Mapping[str, object]) -> None:
    """A wrong or missing option or secret is a ValueError that says what to configure."""
    name, ours = subject.name, subject.account
    shape = subjects.options_of(name)
    usual = dict(ours.options)
    _misconfigured(subject, usual, [], "no secret", "secret")
    _misconfigured(subject, usual, [ours.secrets[0]] * 3, "three secrets", "secrets")
    _misconfigured(subject, usual, [" "], "a blank secret", "secret")
    unknown = usual | {"no_such_option": 1}
    _misconfigured(subject, unknown, ours.secrets, "an unknown option", "no_such_option")
    for field in msgspec.structs.fields(shape):
        option = field.encode_name
        wrong = usual | {option: 1.5}
        _misconfigured(subject, wrong, ours.secrets, f"{option} = 1.5", option)
        if field.required:
            lacking = {key: value for key, value in usual.items() if key != option}
            _misconfigured(subject, lacking, ours.secrets, f"no {option}", option)
    # The example of the page works; certificates and keys are no more than places for them there.
    example = {k: usual[k] if "BEGIN" in repr(v) else v for k, v in page_options.items()}
    registry.build(name, subjects.configured(ours, example))


def _misconfigured(
    subject: Subject, options: Mapping[str, object], secrets: object, what: str, says: str
) -> None:
    assert isinstance(secrets, list | tuple)
    account = contract.Account("till-7", list(secrets), options, ("web",))
    where = f"{subject.name}: an account with {what}"
    try:
        registry.build(subject.name, account)
    except ValueError as error:
        text = str(error)
    except Exception as error:
        raise AssertionError(f"{where} raises {error!r} instead of ValueError") from error
    else:
        raise AssertionError(f"{where} is taken; it must be a ValueError that says what to give")
    assert says in text, f"{where} does not say {says!r}: {text}"
    assert "till-7" in text, f"{where} does not name the account: {text}"
    shown = [secret for secret in secrets if secret.strip() and secret in text]
    assert not shown, f"{where} shows a secret"
