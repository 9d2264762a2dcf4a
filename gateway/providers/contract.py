"""The interface of a provider adapter. Adapters do no I/O and read no clock.

Three checks are separate: the signature is valid, the message is fresh, and it is addressed
to this account (merchant, app, environment). A failed check raises
``domain.errors.Rejected`` with one of ``REASONS``; ``read`` raises nothing else,
besides ``DocumentMissing``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from gateway.domain.events import Event
from gateway.domain.orders import Submission

#: Why a callback is rejected: a closed list, counted per provider and account.
REASONS = frozenset(
    {
        "missing_signature",  # a header or field that carries the signature is not there
        "bad_signature",  # signed with another key, or changed on the way
        "stale",  # signed too long ago, or ahead of our clock
        "malformed",  # not even the envelope that the provider documents; the rest is parked
        "not_ours",  # another merchant, app, seller or environment
        "unsupported",  # an algorithm, charset or content type that is not accepted
        "too_large",  # the body is larger than any message of the provider
        "probe",  # the provider tests whether we verify: rejection is correct
    }
)


class Message(Struct, frozen=True):
    """A callback as received. Names in ``headers`` are case-insensitive."""

    headers: Mapping[str, str]
    body: bytes
    now: datetime

    def __repr__(self) -> str:
        """Return the size only: a representation may end up in logs."""
        return f"Message({len(self.body)} bytes)"


class KeptMessage(Struct, frozen=True):
    """A message that was verified and accepted at ``received_at``, as it is kept: without headers.

    ``key`` is that of an item that it was decoded to then, or ``""``.
    """

    body: bytes
    received_at: datetime
    key: str = ""

    def __repr__(self) -> str:
        """Return the size only: a representation may end up in logs."""
        return f"KeptMessage({len(self.body)} bytes)"


class Item(Struct, frozen=True):
    """One event of a message, or an order placed at a shop.

    ``key`` stays the same when the provider sends the message again, and identifies a repeat.
    Items of one message are accepted in sequence: an order precedes its events.
    """

    key: str
    event: Event | Submission


class Reply(Struct, frozen=True):
    """A response as the provider's protocol requires it."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


#: ``accepted``: committed now or earlier. ``later``: please retry. ``rejected``: do not retry.
Answer = Literal["accepted", "later", "rejected"]


class Reading(Struct, frozen=True):
    """A verified message. Without items it is a ping: answered ``accepted``, nothing stored.

    ``reply`` replaces the usual ``accepted`` reply where the message requires its own
    (a challenge that must be echoed).
    """

    items: Sequence[Item]
    reply: Reply | None = None


class Adapter(Protocol):
    """One configured account of one provider.

    ``read`` raises ``DocumentMissing`` when a message names a public document that is not
    cached yet. Only adapters that implement ``Learner`` may raise it.
    """

    def read(self, message: Message) -> Reading:
        """Verify and decode the whole message or nothing. Raises ``Rejected``."""
        ...

    def decode(self, kept: KeptMessage) -> Reading:
        """Decode a message that ``read`` verified when it arrived, as this account reads it now.

        Neither its signature nor its age is checked again: keys rotate, and messages grow old.
        That it is for this account is. Items have the keys that ``read`` gives them. Raises
        ``Rejected``.
        """
        ...

    def reply(self, answer: Answer) -> Reply:
        """Return the response to send; constant for each answer."""
        ...


class DocumentMissing(Exception):
    """Verifying a message needs the public document at ``url``: fetch it, ``learn`` it, read again.

    The adapter has checked that ``url`` is https and on its own closed list of hosts.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


@runtime_checkable
class Learner(Protocol):
    """An adapter that uses public documents (certificate chains), fetched by its caller."""

    def learn(self, url: str, content: bytes, *, now: datetime) -> None:
        """Verify and cache the document of ``DocumentMissing``. Raises ``Rejected``."""
        ...

    def documents(self) -> Mapping[str, bytes]:
        """Return the cached documents by URL, as they were learnt.

        The adapter that takes this one's place learns them anew, instead of fetching them.
        """
        ...


class Account(Struct, frozen=True):
    """Configuration of an adapter: active secrets in order of preference, and its options.

    ``channels`` are the channels whose orders the account receives payments or orders for.
    """

    name: str
    secrets: Sequence[str]
    options: Mapping[str, object]
    channels: Sequence[str] = ()

    def __repr__(self) -> str:
        """Return the name only: a representation may end up in logs."""
        return f"Account({self.name!r})"


@runtime_checkable
class Environment(Protocol):
    """An adapter that accepts messages of one environment only, which its options name."""

    @property
    def is_test(self) -> bool:
        """Whether no money moves there: its payments are those of test orders."""
        ...


#: Makes an adapter. Raises ``ValueError`` whose text says what to configure.
Factory = Callable[[Account], Adapter]


#: The largest message of a shop, in bytes. An order of 20 lines was seen with 72 KB, one of 200 may
#: have ten times that; shops switch a webhook off after some refusals.
SHOP_BODY_BYTES_MAX = 2 * 1024 * 1024

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Provider(Struct, frozen=True):
    """A provider as the registry lists it; each adapter's module defines its ``PROVIDER``.

    ``title`` is its name in text. ``replies`` are those of every account; ``options`` is the shape
    of what an account can set, which ``adapter`` decodes.
    """

    title: str
    adapter: Factory
    replies: Mapping[Answer, Reply]
    options: type[Struct]
    #: The media types of what it sends.
    body_types: Sequence[str] = (JSON,)
    #: Its largest message, in bytes, where that is more than the setting ``callback_bytes_max``.
    body_bytes_max: int = 0
