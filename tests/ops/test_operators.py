"""`tidegate shed` and `tidegate plan`: output, errors and exit statuses."""

import asyncio
import contextlib
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.overrides import Override
from gateway.runtime.settings import Settings
from gateway.stores.postgres.overrides import OverrideStore
from ops import connections
from ops.commands import api_keys, shed
from tests.ops.conftest import Cli
from tests.support.cable import cable_to
from tests.support.patience import HANG_S

PLAN = """
name = "sale"
[[steps]]
target  = "tier3"
mode    = "shed"
from_at = {from_at}
until   = {until}
reason  = "the sale opens"
"""


def written(directory: Path, **changes: str) -> str:
    begin = datetime.now(UTC).replace(microsecond=0)
    times = {"from_at": begin.isoformat(), "until": (begin + timedelta(hours=1)).isoformat()}
    path = directory / "sale.toml"
    path.write_text(PLAN.format(**{**times, **changes}))
    return str(path)


def test_an_override_is_set_shown_and_cleared(cli: Cli) -> None:
    run = cli("shed", "order_lists", "on", "--for", "10m", "--reason", "rebuild")
    assert run.exit_code == 0, run.stderr
    assert "everywhere within 2 s" in run.stdout
    shown = cli("shed")
    assert "order_lists" in shown.stdout
    assert "rebuild" in shown.stdout
    (override,) = json.loads(cli("shed", "--json").stdout)["modes"]
    assert override["word"] == "shed"
    assert cli("shed", "order_lists", "auto").exit_code == 0
    left = json.loads(cli("shed", "--json").stdout)
    assert left == {"where": "database", "modes": [], "apart": []}


def test_other_overrides_of_a_target_are_shown(cli: Cli) -> None:
    assert cli("shed", "tier3", "on", "--for", "20m", "--reason", "r").exit_code == 0
    run = cli("shed", "order_lists", "auto", "--reason", "enough")
    assert run.exit_code == 0
    assert "tier3 is shed" in run.stdout
    assert "20 min more" in run.stdout


def test_a_short_duration_is_shown_in_seconds(cli: Cli) -> None:
    assert "25 s" in cli("shed", "tier4", "on", "--for", "25s", "--reason", "r").stdout


def test_shedding_the_core_needs_a_second_person(cli: Cli) -> None:
    requested = cli("shed", "callbacks", "on", "--reason", "r", "--json")
    assert json.loads(requested.stdout)["stands"] is False
    approval = cli("shed", "callbacks", "agree")
    assert approval.exit_code == 2
    name = api_keys.actor()
    assert approval.stderr == (
        f"Error: who runs this (you are {name} on this machine) must be another person than "
        f"{name}, who requested it\n"
    )
    assert cli("shed", "order_lists", "agree").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nothing", "on", "--reason", "r"), "TARGET must be one of callbacks"),
        (("order_lists",), "give on, off"),
        (("order_lists", "on"), "--reason must have 1 to 200"),
        (("order_lists", "on", "--reason", "r", "--for", "5h"), "--for must be from 1 s to 4 h"),
        (("order_lists", "on", "--reason", "r", "--for", "0"), "--for must be from 1 s to 4 h"),
        (("order_lists", "on", "--reason", "r", "--for", "soon"), "--for must be like 30m"),
        (("order_lists", "early", "--reason", "r"), "tier2"),
        (("order_lists", "maybe"), "maybe"),
        (("order_lists", "auto", "--reason", "bad\x1b[31m"), "reason"),
        (("order_lists", "auto", "--reason", "x" * 201), "reason"),
    ],
)
def test_a_wrong_argument_is_explained(cli: Cli, arguments: tuple[str, ...], text: str) -> None:
    run = cli("shed", *arguments)
    assert run.exit_code == 2
    assert text in run.stderr


def test_a_plan_is_checked_set_listed_and_dropped(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path)
    assert "the sale opens" in cli("plan", "check", file).stdout
    assert json.loads(cli("plan", "list", "--json").stdout) == []
    assert json.loads(cli("plan", "set", file, "--json").stdout) == {
        "plan": "sale", "was_there": False,
    }  # fmt: skip
    (step,) = json.loads(cli("plan", "list", "--json").stdout)
    assert (step["plan"], step["target"], step["mode"]) == ("sale", "tier3", "shed")
    assert "active (plan sale)" in cli("shed").stdout
    assert cli("plan", "drop", "sale").exit_code == 0
    assert cli("plan", "drop", "sale").exit_code == 1


def test_plans_that_overlap_name_the_step(cli: Cli, tmp_path: Path) -> None:
    assert cli("plan", "set", written(tmp_path)).exit_code == 0
    other = Path(written(tmp_path))
    other.write_text(other.read_text().replace('"sale"', '"other"'))
    run = cli("plan", "set", str(other))
    assert run.exit_code == 2
    assert "step 1 overlaps a step of the plan sale on tier3" in run.stderr


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("name = ", "TOML"),
        ('name = "sale"', "wrong.toml: steps is missing"),
        ('name = "sale"\nsteps = []', "steps must be 1 to 50"),
        ('name = "sale"\nmore = 1\nsteps = []', "there is no more"),
        ('name = "sale"\n[steps]\nmode = "shed"', "steps must be a list"),
        (
            PLAN.format(from_at="2020-01-01T00:00:00Z", until="2020-01-01T01:00:00Z"),
            "step 1: until is in the past",
        ),
        (PLAN.format(from_at="2020-01-01", until="2020-01-02"), "step 1: from_at must be a date"),
        (PLAN.format(from_at='"soon"', until='"later"'), "step 1: from_at must be a date and time"),
        (
            PLAN.format(from_at="2020-01-01T00:00:00", until="2020-01-01T01:00:00"),
            "step 1: from_at must have its zone",
        ),
        (
            PLAN.replace("tier3", "tier9").format(
                from_at="2090-01-01T00:00:00Z", until="2090-01-01T01:00:00Z"
            ),
            "step 1: from_at is more than a year ahead",
        ),
    ],
)
def test_a_wrong_plan_is_explained(cli: Cli, tmp_path: Path, content: str, text: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(content)
    run = cli("plan", "set", str(file))
    assert run.exit_code == 2
    assert text in run.stderr
    assert json.loads(cli("plan", "list", "--json").stdout) == []


def test_gateways_that_do_not_follow_all_of_it_are_named() -> None:
    def followed(*targets: str) -> bytes:
        overrides = [Override(target, "shed", "r", "ann", 60.0) for target in targets]
        return json.dumps({"modes": msgspec.to_builtins(overrides)}).encode()

    found, apart = shed._merged(
        {1: followed("tier3", "tier4"), 2: followed("tier4"), 3: followed()}
    )
    assert {each.target for each in found} == {"tier3", "tier4"}
    assert apart == [2, 3]
    assert shed._merged({1: followed("tier4"), 2: followed("tier4")})[1] == []


# --- with the database frozen ---


def test_with_database_and_gateways_frozen_it_reports(cli: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "control"
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        # A listener that accepts no connection is what a stopped process looks like.
        database = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for pid in range(1, 9):
            gateway = stack.enter_context(socket.socket(socket.AF_UNIX))
            gateway.bind(str(directory / f"{pid}.sock"))
            gateway.listen()
        url = f"postgresql://u:p@127.0.0.1:{database.getsockname()[1]}/d"
        run = cli(
            "shed", "order_lists", "on", "--reason", "r", "--json",
            TIDEGATE_DATABASE_URL=url, TIDEGATE_CONTROL_DIR=str(directory),
        )  # fmt: skip
    assert run.exit_code == 1
    result = json.loads(run.stdout)
    assert (result["where"], result["processes"]) == ("this machine", [])
    assert "8 listen in" in result["said"]
    assert "control_dir" not in result["said"]
    assert len(list(directory.glob("*.change"))) == 1, "a process that continues finds it"


def test_without_gateways_the_directory_may_be_wrong(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as database:
        url = f"postgresql://u:p@127.0.0.1:{database.getsockname()[1]}/d"
        run = cli(
            "shed", "order_lists", "on", "--reason", "r",
            TIDEGATE_DATABASE_URL=url, TIDEGATE_CONTROL_DIR=str(tmp_path / "control"),
        )  # fmt: skip
    assert run.exit_code == 1
    assert "is control_dir the same as theirs?" in run.stdout


async def test_a_database_that_falls_silent_times_out(
    settings: Settings,
) -> None:
    """The driver waits for the reply to its cancellation; the command does not."""
    loop = asyncio.get_running_loop()
    async with cable_to(settings.database_url) as cable:
        behind = msgspec.structs.replace(settings, database_url=cable.url)

        async def ask(pool: "asyncpg.Pool[asyncpg.Record]") -> list[Override]:
            loop.call_soon_threadsafe(cable.silence)
            await asyncio.sleep(0.1)
            return await OverrideStore(pool=pool).every()

        def run() -> None:
            with pytest.raises(Unavailable):
                asyncio.run(connections.briefly(behind, ask, within_s=0.5))

        async with asyncio.timeout(HANG_S):
            await asyncio.to_thread(run)


async def test_a_hanging_transaction_times_out(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The command ends then too, and logs nothing about the connection it abandoned."""
    loop = asyncio.get_running_loop()
    async with cable_to(settings.database_url) as cable:
        behind = msgspec.structs.replace(settings, database_url=cable.url)

        async def ask(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
            async with OverrideStore(pool=pool).changing() as connection:
                loop.call_soon_threadsafe(cable.silence)
                await asyncio.sleep(0.1)
                await connection.execute("SELECT 1")

        def run() -> None:
            with pytest.raises(Unavailable):
                # Long enough to connect: asyncpg leaves a log line when that is cancelled.
                asyncio.run(connections.briefly(behind, ask, within_s=3.0))

        async with asyncio.timeout(HANG_S):
            await asyncio.to_thread(run)
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []
