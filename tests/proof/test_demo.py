"""``make demo``: real signatures, repeats, wrong amounts, forgeries, and a reliable verdict."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from loadtest.demo import __main__ as demo
from loadtest.demo import plan, report
from loadtest.verify import Check
from tests.support.patience import HANG_S
from tests.support.payers import Payers

ORDERS = 300


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest.demo", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=5 * HANG_S,
        check=False,
    )


@pytest.mark.servers
def test_every_promise_of_300_orders_is_kept() -> None:
    done = run("--orders", str(ORDERS), "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    table = lines[lines.index("") :]
    head = next(
        n for n, line in enumerate(lines) if line.split() == ["check", "expected", "found", "ok"]
    )
    rows = [line for line in lines[head + 1 :] if line.endswith(("  yes", "  NO"))]
    assert len(rows) >= 20
    assert all(row.endswith("  yes") for row in rows), "\n".join(table)
    assert lines[-1] == "all checks hold"


@pytest.mark.servers
def test_the_money_of_10_000_mixed_orders_agrees_to_the_cent() -> None:
    """Parts, parcels, taxes, no address, odd phones, no price: what was sent is what is booked."""
    done = run("--orders", "10000", "--seed", "16", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {check["name"]: check["wrong"] for check in found["checks"] if check["wrong"]} == {}
    drawn = found["drawn"]
    kinds = ("paid in two parts", "sent in two parcels", "refunds that failed", "disputed")
    assert all(drawn[kind] >= 100 for kind in kinds)


@pytest.mark.servers
def test_a_missing_requirement_is_reported_with_status_2() -> None:
    done = run("--orders", "10", TIDEGATE_PG_BIN="/nowhere")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].strip()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("found", "status"), [(3, 0), (2, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_status_is_that_of_the_checks(
    monkeypatch: pytest.MonkeyPatch, found: int, status: int, as_json: bool
) -> None:
    wrong = () if found == 3 else ("W-3",)
    findings = report.Findings(
        seed=1,
        connections=2,
        attempts=3,
        seconds=0.1,
        settled_s=0.1,
        drawn={"orders": 3},
        statuses={201: 3},
        checks=[Check("fine", 1, 1), Check("orders stored", 3, found, wrong)],
    )
    monkeypatch.setattr(demo, "run", lambda **_: findings)
    done = CliRunner().invoke(demo.main, ["--json"] if as_json else [])
    assert done.exit_code == status
    if as_json:
        document = json.loads(done.stdout)
        assert [check["ok"] for check in document["checks"]] == [True, found == 3]
        assert document["ok"] is (found == 3)
    else:
        assert ("W-3" in done.stdout) is (found != 3)


def test_the_same_seed_draws_the_same_shares(payers: Payers) -> None:
    first, second = (plan.draw(1000, payers.accounts, seed=3) for _ in range(2))
    assert first.drawn == second.drawn
    assert [len(script.later) for script in first.scripts] == [
        len(script.later) for script in second.scripts
    ]
    assert first.drawn["payments before their order"] == 50
    assert first.drawn["wrong amounts"] == 20
    assert first.drawn["forged"] == 10
    repeats = first.drawn["repeats at the same instant"] + first.drawn["repeats later"]
    assert repeats == round((first.drawn["orders"] + first.drawn["callbacks"]) / 10)
