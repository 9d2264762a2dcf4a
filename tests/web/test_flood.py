"""The overload benchmark: its flood counts every request, and each of its floors can be missed."""

import asyncio
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest

from gateway.overload.admission import Admission
from loadtest.bench import processes
from loadtest.overload import report
from loadtest.overload.findings import TIMES, Findings, Steps, Trial
from loadtest.overload.outcomes import Outcome, Phase
from tests.overload_controls import CONTROLS
from tests.support.patience import HANG_S
from tests.support.site import Site


async def flood(site: Site, *arguments: str) -> bytes:
    command = ["-m", "loadtest.overload.flood", "--port", str(site.port), *arguments]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**os.environ, "FLOOD_ORDER_TOKEN": site.token, "FLOOD_LIST_TOKEN": site.token},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(child.communicate(), HANG_S)
    assert child.returncode == 0
    return output


async def test_every_scheduled_request_is_counted(site: Site) -> None:
    admission: Admission = site.gateway.admission
    admission.breakers[3].state, admission.breakers[3].share = "shedding_all", 1.0
    output = await flood(site, "--phases", "[[100,20,1],[50,0,1]]", "--prefix", "fa")
    first, second = msgspec.json.decode(output, type=list[Phase])
    orders, lists = first.outcomes["order"], first.outcomes["list"]
    assert (orders.due, orders.accepted, orders.refused) == (100, 100, 0)
    assert (lists.due, lists.accepted, lists.refused) == (20, 0, 20)
    assert (sum(first.lists_refused), sum(first.lists_accepted)) == (20, 0)
    assert second.outcomes["order"].due == second.outcomes["order"].accepted == 50
    assert 0 < orders.p50_ms <= orders.p99_ms <= orders.max_ms
    assert admission.concurrency.in_use == 0


async def test_rejected_requests_may_be_retried(site: Site) -> None:
    """Four attempts in all, counted as one list that was rejected once."""
    admission: Admission = site.gateway.admission
    admission.breakers[3].state, admission.breakers[3].share = "shedding_all", 1.0
    output = await flood(site, "--phases", "[[0,20,1]]", "--prefix", "fc", "--tries", "4")
    (found,) = msgspec.json.decode(output, type=list[Phase])
    lists = found.outcomes["list"]
    assert (lists.due, lists.accepted, lists.refused, lists.retried) == (20, 0, 20, 60)


@pytest.mark.servers
async def test_the_baseline_rejects_every_request(tmp_path: Path) -> None:
    with processes.serving("loadtest.baseline.refuser", (), {}, tmp_path / "log") as running:
        command = ["-m", "loadtest.overload.flood", "--port", str(running.port)]
        command += ["--phases", "[[200,0,1]]", "--prefix", "fd"]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *command],
            capture_output=True,
            timeout=HANG_S,
            check=True,
        )
    (found,) = msgspec.json.decode(done.stdout, type=list[Phase])
    assert (found.outcomes["order"].due, found.outcomes["order"].refused) == (200, 200)


@pytest.mark.servers
@pytest.mark.parametrize("which", sorted(CONTROLS))
def test_a_negative_control_runs_the_gateway(which: str) -> None:
    command = [sys.executable, "-m", "tests.overload_controls", which, "version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert version("tidegate") in done.stdout


async def test_the_closed_loop_prints_a_rate(site: Site) -> None:
    output = await flood(site, "--closed", "4", "--seconds", "0.5", "--prefix", "fb")
    assert msgspec.json.decode(output, type=float) > 10


def outcome(**changes: float) -> Outcome:
    made: dict[str, float] = {"seconds": 1.0, "due": 1000, "accepted": 1000, "good": 1000}
    return msgspec.convert(made | {"p99_ms": 10.0} | changes, Outcome)


def trial(**changes: float) -> Trial:
    return Trial(1000.0, outcome(**changes))


def phase(**changes: float) -> Phase:
    outcomes = {"order": outcome(**changes), "list": outcome()}
    return msgspec.convert(
        {"outcomes": outcomes, "lists_accepted": [1], "lists_refused": [0]}, Phase
    )


def findings(**changes: object) -> Findings:
    good = Findings(
        held_to_cores=0.25,
        cores=2,
        python="3",
        probes=[1000.0],
        flood={times: [trial()] for times in TIMES},
        unshed=[trial(good=0)],
        mixed={times: [trial()] for times in TIMES},
        apart={times: [trial()] for times in TIMES},
        fronted={times: [trial()] for times in TIMES},
        refusal_cost=[0.05],
        accept_s=[1e-4],
        least_refusal_cost=[0.04],
        late=[trial(good=100)],
        cpu_alone=[phase(refused=100)],
        quiet=[phase()],
        after_flood=trial(),
        high_at_half=0.0,
        low_at_full=0.0,
        steps=[Steps(shed_after_ms=200.0, back_after_s=20.0, flips_per_min=1.6)],
    )
    return msgspec.structs.replace(good, **changes)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, 0),
        ({"flood": {2: [trial(good=900)], 5: [trial(good=900)], 10: [trial()]}}, 1),
        ({"flood": {times: [trial(p99_ms=260)] for times in TIMES}}, 3),
        ({"unshed": [trial()]}, 1),
        ({"late": [trial()]}, 1),
        ({"cpu_alone": [phase(refused=1)]}, 1),
        ({"apart": {times: [trial(good=990)] for times in TIMES}}, 3),
        ({"apart": {10: [trial(p99_ms=101)]}}, 1),
        ({"fronted": {10: [trial(good=790)]}}, 1),
        ({"fronted": {}}, 0),
        ({"after_flood": trial(good=980)}, 1),
        ({"mixed": {times: [trial(good=900)] for times in TIMES}}, 2),
        ({"refusal_cost": [0.07]}, 1),
        ({"refusal_cost": []}, 1),
        ({"quiet": [phase(refused=3)]}, 1),
        ({"quiet": [phase(), phase(refused=3), phase()]}, 0),
        ({"high_at_half": 0.02, "low_at_full": 0.1}, 2),
        ({"steps": [Steps(shed_after_ms=600.0, back_after_s=46.0, flips_per_min=2.4)]}, 3),
        ({"steps": [Steps(shed_after_ms=None, back_after_s=None, flips_per_min=0.0)]}, 2),
    ],
)
def test_every_floor_can_be_missed(changes: dict[str, object], missed: int) -> None:
    found = findings(**changes)
    judged = report.judge(found)
    assert sum(not each.is_held for each in judged) == missed
    assert report.as_text(found, judged).count("MISSED") == missed


def test_the_json_fields_of_a_step_stay() -> None:
    """Reports of earlier runs are compared by these names."""
    step = Steps(shed_after_ms=200.0, back_after_s=20.0, flips_per_min=1.6)
    assert msgspec.to_builtins(step) == {
        "dark_after_ms": 200.0, "back_after_s": 20.0, "flips_per_min": 1.6,
    }  # fmt: skip
