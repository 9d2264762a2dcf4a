"""What a provider's file must offer. Adapters do no I/O and read no clock.

A message is read in three layers, kept apart: the signature is right, it is fresh enough,
and it is ours (account, merchant, environment). Whatever fails raises
``domain.errors.Rejected`` with one of ``REASONS``; nothing else may escape from ``read``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from gateway.domain.events import Event
from gateway.domain.orders import Submission

#: Why a callback is refused: a closed list, counted per provider and account.
REASONS = frozenset(
    {
        "missing_signature",  # a header or field that carries the signature is not there
        "bad_signature",  # signed with another key, or changed on the way
        "stale",  # signed too long ago, or ahead of our clock
        "malformed",  # the signature is right and the content is not what the provider documents
        "not_ours",  # another merchant, app, seller or environment
        "unsupported",  # an algorithm, charset or content type that is not accepted
        "probe",  # the provider tests whether we verify: refusing is the right answer
    }
)


class Message(Struct, frozen=True):
    """A callback as it arrived. ``headers`` looks names up without regard to case."""

    headers: Mapping[str, str]
    body: bytes
    now: datetime

    def __repr__(self) -> str:
        """Show nothing of the message: what is shown ends up in logs."""
        return f"Message({len(self.body)} bytes)"


class Item(Struct, frozen=True):
    """One thing a message tells: an event, or an order that a shop took.

    ``key`` is what the provider really keeps the same on a repeat. Items of one message are
    accepted in their order, so an order comes before what happened to it.
    """

    key: str
    event: Event | Submission


class Reply(Struct, frozen=True):
    """The bytes the provider's protocol wants to see."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


#: ``accepted``: committed, or committed before. ``later``: send it again. ``refused``: never.
Answer = Literal["accepted", "later", "refused"]


class Reading(Struct, frozen=True):
    """A verified message. No items: a ping, answered ``accepted`` without a trace.

    ``reply`` replaces the usual ``accepted`` reply where this very message wants its own
    (a challenge that must be echoed).
    """

    items: Sequence[Item]
    reply: Reply | None = None


class Adapter(Protocol):
    """One configured account of one provider.

    ``read`` raises ``DocumentMissing`` where a message names a public document that is not
    known yet; only adapters that are ``Learner`` may.
    """

    def read(self, message: Message) -> Reading:
        """Verify and decode, all or nothing. Raises ``Rejected``."""
        ...

    def reply(self, answer: Answer) -> Reply:
        """Return what to say; constant for each answer."""
        ...


class DocumentMissing(Exception):
    """A message can only be judged with the public document at ``url``: fetch it and ask again.

    The adapter has checked that ``url`` is https and on its own closed list of hosts.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


@runtime_checkable
class Learner(Protocol):
    """An adapter that is handed public documents (a certificate chain) by who may do I/O."""

    def learn(self, url: str, content: bytes, *, now: datetime) -> None:
        """Check and keep the document of ``DocumentMissing``. Raises ``Rejected``."""
        ...


class Account(Struct, frozen=True):
    """What an adapter is made from: live secrets in order of preference, and its options.

    ``channels`` are those whose orders the account is paid for, or whose orders a shop sends.
    """

    name: str
    secrets: Sequence[str]
    options: Mapping[str, object]
    channels: Sequence[str] = ()

    def __repr__(self) -> str:
        """Show the name alone: what is shown ends up in logs."""
        return f"Account({self.name!r})"


#: Makes an adapter. Raises ``ValueError`` with a sentence that says what to configure.
Factory = Callable[[Account], Adapter]
