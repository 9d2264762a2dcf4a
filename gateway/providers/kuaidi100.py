"""Kuaidi100: pushed tracking of parcels.

Protocol: https://api.kuaidi100.com, "push of subscribed parcels", and public integrations. No
independent client confirms it.

- A form with ``param`` (JSON text) and ``sign``, the hex MD5 of the decoded ``param`` + salt,
  upper case as documented and compared without regard to case.
- ``sign`` is sent only if the subscription gave a salt. Without it anyone could report where
  parcels are, so unsigned pushes are rejected.
- Each push holds the whole track of one parcel. No time is signed, and a push names neither the
  merchant nor the order: the salt alone proves that it is Kuaidi100's and meant for us.

A parcel is identified by its courier and its number; a push does not name the order, which may have
several. A delivery is booked to that parcel of the one order that was shipped under the number.
Parcels in transit are recorded; parcels with a problem, refused or returned, are parked.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract
from gateway.providers.shared import fields, forms, md5

_WORD_MAX = 64

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(
        200, '{"result":true,"returnCode":"200","message":"成功"}'.encode(), "application/json"
    ),
    "later": contract.Reply(
        503, '{"result":false,"returnCode":"500","message":"失败"}'.encode(), "application/json"
    ),
    "rejected": contract.Reply(
        400, '{"result":false,"returnCode":"400","message":"失败"}'.encode(), "application/json"
    ),
}

# Every documented state, those that ``resultv2`` refines included; another one is parked.
#: Signed for: by the recipient, after a problem, by another person, out of a locker.
DELIVERED = frozenset({"3", "301", "302", "303", "304"})
_SIGNED_FOR = "3"
ON_ITS_WAY: Mapping[str, str] = {
    "0": "in_transit",
    "1001": "in_transit",
    "1002": "in_transit",
    "1": "collected",
    "101": "ordered",
    "102": "ordered",
    "103": "collected",
    "5": "out_for_delivery",
    "501": "in_a_locker",
    # To another address, or by another courier.
    "7": "forwarded",
    "1003": "forwarded",
    "8": "customs",
    "10": "customs",
    "11": "customs",
    "12": "customs",
}
#: What a person has to look at: the kind it is parked under, and what the courier says.
TROUBLE: Mapping[str, tuple[str, str]] = {
    "2": ("problem", "the courier reports a problem"),
    "201": ("problem", "out for delivery for too long"),
    "202": ("problem", "no scan for too long"),
    "203": ("refused", "refused by the recipient; the sender has to decide"),
    "204": ("problem", "it could not be delivered"),
    "205": ("problem", "nobody takes it out of the locker"),
    "206": ("problem", "the recipient cannot be reached"),
    "207": ("problem", "outside the courier's area"),
    "208": ("problem", "it lies at a station of the courier"),
    "209": ("problem", "damaged"),
    "210": ("cancelled", "the sender asked to cancel it"),
    "4": ("returned", "returned, and signed for by the sender"),
    "401": ("cancelled", "cancelled"),
    "6": ("returning", "on its way back"),
    "13": ("problem", "stuck in customs"),
    "14": ("refused", "refused by the recipient"),
}
#: The courier sent no scan for days, or does not know the number.
_ABORTED = "abort"


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An account of Kuaidi100 has no options beside its salt."""


class _Push(Struct, rename={"last_result": "lastResult"}):
    status: str = ""
    last_result: msgspec.Raw = msgspec.Raw(b"{}")


class _Scan(Struct):
    ftime: object = None
    time: object = None


class _Track(Struct):
    com: object = ""
    nu: object = ""
    state: object = ""
    data: object = None


_PUSH = msgspec.json.Decoder(_Push)
_TRACK = msgspec.json.Decoder(_Track)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one salt. Raises ``ValueError`` if it cannot work."""
    salts = md5.secrets(account, whose="the salt of your subscriptions", length_min=8)
    fields.options(account, Options)
    return Kuaidi100(salts)


PROVIDER = contract.Provider("Kuaidi100", adapter, _REPLIES, Options, body_types=(contract.FORM,))


class Kuaidi100:
    """The parcels subscribed to under one salt."""

    def __init__(self, salts: Sequence[bytes]) -> None:
        self._salts = salts

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one push. Raises ``Rejected``."""
        form = forms.decoded(message.body)
        return self._reading(self._signed_param(form), message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(forms.decoded(kept.body).get(b"param", b""), kept.received_at)

    def _reading(self, param: bytes, now: datetime) -> contract.Reading:
        push = fields.decoded(_PUSH, param)
        try:
            track = fields.decoded(_TRACK, push.last_result)
            parcel = _Parcel(push.status, track, param, now)
            item = contract.Item(parcel.key, self._event(parcel))
        except errors.Rejected as rejected:
            unmapped = events.Unmapped("push", "", rejected.hint, now)
            item = contract.Item(_digest(param), unmapped)
        return contract.Reading([item])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; only ``result`` true with code 200 is an acknowledgement."""
        return _REPLIES[answer]

    def _signed_param(self, form: Mapping[bytes, bytes]) -> bytes:
        signature, param = form.get(b"sign"), form.get(b"param", b"")
        if not signature:
            raise errors.Rejected(
                "missing_signature", "no field sign: give a salt when you subscribe to a parcel"
            )
        if not md5.is_signed((param,), signature.lower(), self._salts):
            raise errors.Rejected(
                "bad_signature",
                "not signed with this salt: was the parcel subscribed to with another one, or "
                "the form decoded twice on the way?",
            )
        return param

    def _event(self, parcel: "_Parcel") -> events.Event:
        if parcel.status == _ABORTED:
            return parcel.unmapped("abort", "tracking ended: the courier has no data about it")
        if parcel.state in DELIVERED:
            # A push does not name the order: it is found by the parcel's number.
            return events.Delivered("", parcel.at, parcel.no)
        if trouble := TROUBLE.get(parcel.state):
            return parcel.unmapped(*trouble)
        if kind := ON_ITS_WAY.get(parcel.state):
            return events.Noted(kind, parcel.at)
        return parcel.unmapped("unknown", "its state is not documented")


class _Parcel:
    """One parcel as a verified push describes it. Raises ``Rejected`` if it has no number."""

    def __init__(self, status: str, track: _Track, param: bytes, now: datetime) -> None:
        self.status = status
        self.state = fields.text(track.state)
        #: The courier: it only tells apart what two of them deliver under one number.
        com = fields.text(track.com)
        self._com = com if fields.is_token(com, _WORD_MAX) else ""
        self.no = fields.token(fields.text(track.nu), "nu", _WORD_MAX)
        scans = track.data if isinstance(track.data, list) else []
        times = sorted(_times([fields.part(scan, _Scan) or _Scan() for scan in scans]))
        #: Time of the newest scan that has one; else the time of the push.
        self.at = times[-1] if times else now
        # A push about a parcel in transit is identified by its whole content. A problem or a
        # delivery is sent again with a longer track and counts once per parcel; the first scan
        # distinguishes parcels that get the same number one after another.
        is_on_its_way = self.state in ON_ITS_WAY and status != _ABORTED
        state = _SIGNED_FOR if self.state in DELIVERED else self.state
        life = (self._com, self.no, status == _ABORTED, state, times[0] if times else "")
        self.key = _digest(param if is_on_its_way else repr(life).encode())

    def unmapped(self, kind: str, what: str) -> events.Unmapped:
        courier = self._com or "a courier that is not named"
        return events.Unmapped(kind, "", f"parcel {self.no} of {courier}: {what}", self.at)


def _times(scans: Sequence[_Scan]) -> list[datetime]:
    times = []
    for scan in scans:
        try:
            # The zone is not documented; all couriers of the service write China's time.
            written = fields.text(scan.ftime) or fields.text(scan.time)
            times.append(fields.from_china(written, "ftime"))
        except errors.Rejected:
            continue
    return times


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
