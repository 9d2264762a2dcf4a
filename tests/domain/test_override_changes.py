"""Changes made on one machine: their merge with the ledger's overrides, and how they are stored."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.domain import override_changes
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Action, Override

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def change(action: Action | None, *, ago_s: float = 0.0, target: str = "tier3") -> OverrideChange:
    return OverrideChange(target, action, 60.0, "r", NOW - timedelta(seconds=ago_s), "ann")


def override(action: Action = "shed", **changes: object) -> Override:
    plain = Override("tier3", action, "r", "ben", 30.0)
    return msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize(
    ("known", "changes", "merged"),
    [
        ([], [], []),
        ([override()], [], [("shed", 30.0)]),
        ([], [change("shed", ago_s=10)], [("shed", 50.0)]),
        ([override()], [change("admit")], [("admit", 60.0)]),
        ([override()], [change(None)], []),
        # In order of time, however they are given.
        ([], [change("admit"), change("shed", ago_s=10)], [("admit", 60.0)]),
        ([], [change(None, ago_s=5), change("shed", ago_s=10)], []),
        # What has ended leaves nothing, and what is dated ahead lasts no longer than it says.
        ([override()], [change("admit", ago_s=60)], []),
        ([], [change("shed", ago_s=-3600)], [("shed", 60.0)]),
        # Steps of plans and what is pending stay beside it.
        ([override(plan="sale")], [change("admit")], [("shed", 30.0), ("admit", 60.0)]),
        ([override(is_pending=True)], [change("admit")], [("shed", 30.0), ("admit", 60.0)]),
        ([override(plan="sale")], [change(None)], [("shed", 30.0)]),
        ([override(target="tier4")], [change(None)], [("shed", 30.0)]),
    ],
)
def test_the_merge(
    known: list[Override], changes: list[OverrideChange], merged: list[tuple[str, float]]
) -> None:
    found = override_changes.merge(known, changes, NOW)
    assert [(each.action, each.left_s) for each in found] == merged


def test_the_stored_names_stay() -> None:
    """Files in the spool, the control socket and the API have them."""
    encoded = msgspec.json.encode(change("shed"))
    assert encoded == (
        b'{"target":"tier3","word":"shed","for_s":60.0,"reason":"r",'
        b'"at":"2026-11-24T10:00:00Z","actor":"ann"}'
    )
    assert msgspec.json.decode(encoded, type=OverrideChange) == change("shed")
    pending = override(is_pending=True, approved_by="cem", plan="sale", starts_s=1.0)
    assert msgspec.json.encode(pending) == (
        b'{"target":"tier3","word":"shed","reason":"r","actor":"ben","left_s":30.0,'
        b'"second":"cem","is_asked":true,"plan":"sale","starts_s":1.0}'
    )
