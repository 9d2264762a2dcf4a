"""How the command prints an order: what rules found of it, and who took it over."""

from typing import Any

import pytest

from ops import order_view

_ORDER: dict[str, Any] = {
    "id": "01a22e7d-8898-7e41-a481-ac0ba2b27e11",
    "channel": "web",
    "order_no": "W-1",
    "status": "paid",
    "version": 3,
    "hold": None,
    "currency": "CNY",
    "amounts": dict.fromkeys(("payable", "paid", "refunded", "owed"), "1.00"),
    "placed_at": "2026-11-30T02:00:00Z",
    "items": [{"sku": "S-1", "name": "Tea", "quantity": 1, "unit_price": "1.00"}],
}


def test_what_rules_found_is_shown_with_the_values_they_went_by(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"per": "phone", "pieces": 3, "pieces_max": 2}
    finding = {"rule": "few", "kind": "limit", "outcome": "held", "values": values}
    screening = {
        "findings": [finding | {"released_by": "small"}],
        "warehouse": "hz-1",
        "carrier": None,
    }
    order_view.order(_ORDER | {"screening": screening}, wide=True)
    shown = capsys.readouterr().out.splitlines()
    assert "sent from   hz-1" in shown
    assert not any(line.startswith("sent by") for line in shown)
    (row,) = [line.split("  ") for line in shown if line.startswith("few")]
    assert [cell.strip() for cell in row if cell] == [
        "few", "held", "per phone, pieces 3, pieces_max 2", "small",
    ]  # fmt: skip


def test_the_history_says_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = dict.fromkeys(("to_status", "reason", "detail", "actor", "approved_by", "address"))
    event = {"action": "held", "outcome": "applied", "trigger": "key:1", **nothing}
    order_view.events([event | {"received_at": "2026-11-30T02:00:07.123Z"}], wide=True)
    head, row = capsys.readouterr().out.splitlines()
    assert head.startswith("AT (UTC)")
    assert row.startswith("2026-11-30 02:00:07  held")


def test_an_order_says_who_accepted_it_and_under_which_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    accepted = {"accepted_at": "2026-11-30T02:05:00Z"}
    by = [{"target": "wms", "reference": "WH-7"}, {"target": "erp", "reference": None}]
    order_view.order(_ORDER | accepted | {"acceptances": by}, wide=True)
    assert "accepted    2026-11-30 02:05 by wms as WH-7, erp\n" in capsys.readouterr().out
    order_view.order(_ORDER, wide=True)
    assert "accepted" not in capsys.readouterr().out
