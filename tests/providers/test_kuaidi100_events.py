"""How Kuaidi100's adapter reads genuine pushes, and its configuration."""

import json
from typing import Any

import pytest
from hypothesis import given

from gateway.domain import events
from gateway.providers import contract, kuaidi100

from .kuaidi100_samples import (
    ADAPTER,
    COLLECTED_AT,
    COLLECTED_SCAN,
    DELIVERED,
    RESULT,
    SALT,
    SIGNED_AT,
    SIGNED_SCAN,
    param,
    signed,
)
from .support import NOW, account, bent, read_one, rejection, verdict

PARCEL = "parcel YT4846451105011 of yuantong"


def one(status: str = "polling", **changes: Any) -> events.Event:
    return read_one(ADAPTER, signed(param(status, **changes)))


def key(status: str = "polling", **changes: Any) -> str:
    (item,) = ADAPTER.read(signed(param(status, **changes))).items
    return item.key


def test_delivered() -> None:
    """A delivery names no order: it is found by the parcel's number."""
    assert read_one(ADAPTER, DELIVERED) == events.Delivered("", SIGNED_AT, "YT4846451105011")


ON_ITS_WAY: dict[str, list[Any]] = {
    "in_transit": ["0", "1001", "1002", 0],
    "ordered": ["101", "102"],
    "collected": ["1", "103", 1],
    "out_for_delivery": ["5"],
    "in_a_locker": ["501"],
    "forwarded": ["7", "1003"],
    "customs": ["8", "10", "11", "12"],
}
TROUBLE: dict[str, list[Any]] = {
    "problem": ["2", "13", "201", "202", "204", "205", "206", "207", "208", "209", 2],
    "refused": ["14", "203", 14],
    "returned": ["4"],
    "returning": ["6"],
    "cancelled": ["210", "401"],
}


def rows(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(kind, state) for kind, states in table.items() for state in states]


def test_the_tables_are_complete() -> None:
    assert {str(state) for _, state in rows(ON_ITS_WAY)} == kuaidi100.ON_ITS_WAY.keys()
    assert {str(state) for _, state in rows(TROUBLE)} == kuaidi100.TROUBLE.keys()
    known = [*kuaidi100.DELIVERED, *kuaidi100.ON_ITS_WAY, *kuaidi100.TROUBLE]
    assert len(known) == len(set(known)) == 36


@pytest.mark.parametrize("state", ["3", 3, "301", "302", "303", "304"])
def test_signed_for(state: object) -> None:
    """By whom, and where, changes nothing."""
    assert one(state=state) == events.Delivered("", SIGNED_AT, "YT4846451105011")


@pytest.mark.parametrize(("kind", "state"), rows(ON_ITS_WAY))
def test_on_its_way(kind: str, state: object) -> None:
    """What changes no order is recorded; what lies in a locker is not delivered."""
    assert one(state=state, data=[COLLECTED_SCAN]) == events.Noted(kind, COLLECTED_AT)


@pytest.mark.parametrize(("kind", "state"), rows(TROUBLE))
def test_trouble(kind: str, state: object) -> None:
    """A parcel in trouble is for a person, and what is refused or returned is not delivered."""
    event = one(state=state)
    assert isinstance(event, events.Unmapped)
    assert event.kind == kind
    assert event.detail.startswith(PARCEL)


@pytest.mark.parametrize("state", ["", "9", "305", "3.0", "签收", 10**400, -1, "x" * 500])
def test_unknown_state_is_parked(state: object) -> None:
    """A state that is not documented is never booked as a delivery."""
    event = one(state=state)
    assert isinstance(event, events.Unmapped)
    assert event.kind == "unknown"


def test_abort_is_parked() -> None:
    """A parcel that the service stops tracking is parked, whatever its last state."""
    event = one("abort", state="0", data=[])
    assert isinstance(event, events.Unmapped)
    assert (event.kind, event.occurred_at) == ("abort", NOW)


def test_repeats_with_a_longer_track_count_once() -> None:
    """A problem and a delivery count once each, however often they are sent."""
    more = {"ftime": "2026-11-24 09:00:00"}
    assert key(state="3") == key(state="301") == key(state="304")
    for state in ("2", "3", "4"):
        longer = key(state=state, data=[more, SIGNED_SCAN, COLLECTED_SCAN])
        assert key(state=state) == longer == key(state=state, message="other")
    assert key(state="0", data=[COLLECTED_SCAN]) != key(state="0", data=[SIGNED_SCAN])
    assert len({key(state=state) for state in ("2", "3", "4", "6", "14", "99")}) == 6


def test_next_parcel_of_the_same_number() -> None:
    """Couriers use numbers again: another first scan is another parcel."""
    later = [{"ftime": "2027-11-22 18:00:00"}]
    assert key(state="3") != key(state="3", data=later)
    assert key(state="3") != key(state="3", com="ems")


@pytest.mark.parametrize(
    "result",
    [
        None,
        "x",
        [],
        {},
        RESULT | {"nu": ""},
        RESULT | {"nu": "A B"},
        RESULT | {"nu": "A" * 65},
        RESULT | {"nu": None},
        RESULT | {"state": None},
    ],
)
def test_what_names_no_parcel_is_parked(result: Any) -> None:
    """A genuine push that is not of the documented shape is parked, not dropped."""
    event = read_one(ADAPTER, signed(json.dumps({"lastResult": result})))
    assert isinstance(event, events.Unmapped)
    assert event.detail


@pytest.mark.parametrize("odd", [{"com": "圆通"}, {"com": None}, {"data": "x"}, {"data": [None]}])
def test_a_delivery_counts_whatever_the_courier_is_called(odd: Any) -> None:
    """Its number names the parcel."""
    told = one(state="3", **odd)
    assert isinstance(told, events.Delivered)
    assert told.tracking_no == RESULT["nu"]


def test_a_number_written_as_one_is_the_number() -> None:
    told = one(state=3, nu=4846451105011)
    assert isinstance(told, events.Delivered)
    assert told.tracking_no == "4846451105011"


def test_malformed_times_do_not_matter() -> None:
    """A scan without a time that can be read is passed over."""
    scans = [{"ftime": "gestern"}, {"ftime": "2026-02-30 00:00:00"}, {}, COLLECTED_SCAN]
    event = one(state="1", data=scans)
    assert event == events.Noted("collected", COLLECTED_AT)
    assert one(state="1", data=scans[:3]) == events.Noted("collected", NOW)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"7", b"{", b'{"status":7}', b'{"a":' * 20000, b"\xff", b"{}{}"],
)
def test_malformed_params_are_rejected(text: bytes) -> None:
    """A valid signature over content that is not a JSON object is rejected as malformed."""
    assert rejection(ADAPTER, signed(text)) == "malformed"


@given(bent({"status": "polling", "lastResult": RESULT}))
def test_bent_pushes_are_storable_or_rejected(content: Any) -> None:
    """Any content that Kuaidi100 could sign is rejected or storable."""
    verdict(ADAPTER, signed(json.dumps(content)))


@given(bent(SIGNED_SCAN))
def test_bent_scans_are_storable_or_rejected(scan: Any) -> None:
    """The same for the scans of a track."""
    verdict(ADAPTER, signed(json.dumps({"lastResult": RESULT | {"data": [scan]}})))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, '{"result":true,"returnCode":"200","message":"成功"}'),
        ("later", 503, '{"result":false,"returnCode":"500","message":"失败"}'),
        ("rejected", 400, '{"result":false,"returnCode":"400","message":"失败"}'),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: str) -> None:
    """Only a result of true with 200 acknowledges."""
    expected = contract.Reply(status, body.encode(), "application/json")
    assert ADAPTER.reply(answer) == expected


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        (("",), {}, "the salt"),
        (("short",), {}, "the salt"),
        ((SALT + " ",), {}, "the salt"),
        ((SALT + "\n",), {}, "the salt"),
        ((SALT,), {"salt": "x"}, "salt"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        kuaidi100.adapter(account(*secrets, **options))
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)
