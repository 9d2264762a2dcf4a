"""`tidegate shed` and `tidegate plan`: what they say, what they refuse, how they exit."""

import asyncio
import contextlib
import json
import socket
import time
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
from ops.commands import shed
from tests.ops.conftest import Cli
from tests.support.cable import cable_to

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


def test_a_word_is_said_shown_and_taken_back(cli: Cli) -> None:
    said = cli("shed", "order_lists", "on", "--for", "10m", "--reason", "rebuild")
    assert said.exit_code == 0, said.stderr
    assert "everywhere within 2 s" in said.stdout
    shown = cli("shed")
    assert "order_lists" in shown.stdout
    assert "rebuild" in shown.stdout
    (mode,) = json.loads(cli("shed", "--json").stdout)["modes"]
    assert mode["word"] == "shed"
    assert cli("shed", "order_lists", "auto").exit_code == 0
    left = json.loads(cli("shed", "--json").stdout)
    assert left == {"where": "database", "modes": [], "apart": []}


def test_what_still_holds_a_target_is_told(cli: Cli) -> None:
    assert cli("shed", "tier3", "on", "--for", "20m", "--reason", "r").exit_code == 0
    said = cli("shed", "order_lists", "auto", "--reason", "enough")
    assert said.exit_code == 0
    assert "tier3 is refused" in said.stdout
    assert "20 min more" in said.stdout


def test_a_short_time_is_told_in_seconds(cli: Cli) -> None:
    assert "25 s" in cli("shed", "tier4", "on", "--for", "25s", "--reason", "r").stdout


def test_one_person_alone_only_asks_for_the_core_to_be_shed(cli: Cli) -> None:
    asked = cli("shed", "callbacks", "on", "--reason", "r", "--json")
    assert json.loads(asked.stdout)["stands"] is False
    agreed = cli("shed", "callbacks", "agree")
    assert agreed.exit_code == 2
    assert "another person" in agreed.stderr
    assert cli("shed", "order_lists", "agree").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "on", "--reason", "r"), "order_lists"),
        (("order_lists",), "say on, off"),
        (("order_lists", "on"), "reason"),
        (("order_lists", "on", "--reason", "r", "--for", "5h"), "for_s"),
        (("order_lists", "on", "--reason", "r", "--for", "soon"), "30m"),
        (("order_lists", "early", "--reason", "r"), "tier2"),
        (("order_lists", "maybe"), "maybe"),
        (("order_lists", "auto", "--reason", "bad\x1b[31m"), "reason"),
        (("order_lists", "auto", "--reason", "x" * 201), "reason"),
    ],
)
def test_a_wrong_word_is_explained(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    run = cli("shed", *arguments)
    assert run.exit_code == 2
    assert said in run.stderr


def test_a_plan_is_checked_set_listed_and_dropped(cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path)
    assert "the sale opens" in cli("plan", "check", file).stdout
    assert json.loads(cli("plan", "list", "--json").stdout) == []
    assert json.loads(cli("plan", "set", file, "--json").stdout) == {
        "plan": "sale", "was_there": False,
    }  # fmt: skip
    (step,) = json.loads(cli("plan", "list", "--json").stdout)
    assert (step["plan"], step["target"], step["mode"]) == ("sale", "tier3", "shed")
    assert "stands (plan sale)" in cli("shed").stdout
    assert cli("plan", "drop", "sale").exit_code == 0
    assert cli("plan", "drop", "sale").exit_code == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name = ", "TOML"),
        ('name = "sale"', "steps"),
        ('name = "sale"\nsteps = []', "steps"),
        ('name = "sale"\nmore = 1\nsteps = []', "more"),
        (PLAN.format(from_at="2020-01-01T00:00:00Z", until="2020-01-01T01:00:00Z"), "is over"),
        (PLAN.format(from_at="2020-01-01", until="2020-01-02"), "from_at"),
        (PLAN.format(from_at='"soon"', until='"later"'), "from_at"),
    ],
)
def test_a_wrong_plan_is_explained(cli: Cli, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(content)
    run = cli("plan", "set", str(file))
    assert run.exit_code == 2
    assert said in run.stderr
    assert json.loads(cli("plan", "list", "--json").stdout) == []


def test_gateways_that_do_not_follow_all_of_it_are_named() -> None:
    def told(*targets: str) -> bytes:
        modes = [Override(target, "shed", "r", "ann", 60.0) for target in targets]
        return json.dumps({"modes": msgspec.to_builtins(modes)}).encode()

    found, apart = shed._merged({1: told("tier3", "tier4"), 2: told("tier4"), 3: told()})
    assert {mode.target for mode in found} == {"tier3", "tier4"}
    assert apart == [2, 3]
    assert shed._merged({1: told("tier4"), 2: told("tier4")})[1] == []


# --- with the database frozen ---

#: From the command to the word that counts on the machine.
LOCALLY_S = 5.0


def test_with_the_database_and_every_gateway_frozen_it_says_so_in_time(
    cli: Cli, tmp_path: Path
) -> None:
    directory = tmp_path / "control"
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        # Who listens and never takes a connection is what a stopped process looks like.
        database = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for pid in range(1, 9):
            gateway = stack.enter_context(socket.socket(socket.AF_UNIX))
            gateway.bind(str(directory / f"{pid}.sock"))
            gateway.listen()
        url = f"postgresql://u:p@127.0.0.1:{database.getsockname()[1]}/d"
        began_s = time.monotonic()
        said = cli(
            "shed", "order_lists", "on", "--reason", "r", "--json",
            TIDEGATE_DATABASE_URL=url, TIDEGATE_CONTROL_DIR=str(directory),
        )  # fmt: skip
        assert time.monotonic() - began_s < LOCALLY_S
    assert said.exit_code == 1
    told = json.loads(said.stdout)
    assert (told["where"], told["processes"]) == ("this machine", [])
    assert "8 listen in" in told["said"]
    assert "control_dir" not in told["said"]
    assert len(list(directory.glob("*.change"))) == 1, "who thaws finds it"


def test_where_nobody_listens_the_directory_may_be_another(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as database:
        url = f"postgresql://u:p@127.0.0.1:{database.getsockname()[1]}/d"
        said = cli(
            "shed", "order_lists", "on", "--reason", "r",
            TIDEGATE_DATABASE_URL=url, TIDEGATE_CONTROL_DIR=str(tmp_path / "control"),
        )  # fmt: skip
    assert said.exit_code == 1
    assert "is control_dir the same as theirs?" in said.stdout


async def test_a_database_that_goes_silent_in_the_middle_is_given_up_in_time(
    settings: Settings,
) -> None:
    """The driver waits for the answer to its cancellation, and the command does not."""
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

        async with asyncio.timeout(LOCALLY_S):
            await asyncio.to_thread(run)


async def test_what_hangs_in_a_transaction_is_given_up_in_time(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The command ends then too, without a word of what it left."""
    loop = asyncio.get_running_loop()
    async with cable_to(settings.database_url) as cable:
        behind = msgspec.structs.replace(settings, database_url=cable.url)

        async def ask(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
            async with OverrideStore(pool=pool).changing() as connection:
                loop.call_soon_threadsafe(cable.silence)
                await asyncio.sleep(0.1)
                await connection.execute("SELECT 1")

        def run() -> float:
            began_s = time.monotonic()
            with pytest.raises(Unavailable):
                asyncio.run(connections.briefly(behind, ask, within_s=0.5))
            return time.monotonic() - began_s

        assert await asyncio.to_thread(run) < 1.0
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []
