"""The fronts of ``ops/front``: the real programs with the files as shipped, where installed."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from ops.harness.ports import accepts, free_port
from tests.support.patience import HANG_S

Kind = Literal["haproxy", "nginx"]

FILES = Path(__file__).resolve().parents[2] / "ops" / "front"
#: nginx's directories for request bodies: the default ones belong to the system's nginx.
_NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Limits(Struct, frozen=True):
    """Limits of requests in flight at one server; ``reserved`` of ``core`` are for callbacks."""

    core: int = 512
    reserved: int = 128
    queued: int = 128
    query: int = 64


def program(kind: Kind) -> str:
    """Return the path of the program; skips the test where it is not installed."""
    directories = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(kind, path=directories)
    if found is None:
        pytest.skip(f"{kind} is not installed: apt-get install {kind}")
    return found


@contextmanager
def running(
    kind: Kind,
    *,
    core: Sequence[int],
    query: Sequence[int],
    directory: Path,
    limits: Limits | None = None,
) -> Iterator[int]:
    """Yield the port of a front before the gateways on these ports. Skips where it is missing.

    With limits, it has one CPU and so one thread: two threads could both admit the last request,
    and the tests count exactly.
    """
    port, exact, limits = free_port(), limits is not None, limits or Limits()
    log = directory / f"{kind}.log"
    if kind == "haproxy":
        command, variables = (
            [program(kind), "-db", "-f", str(FILES / "haproxy.cfg")],
            {
                "FRONT_BIND": f"127.0.0.1:{port}",
                "FRONT_METRICS_BIND": f"127.0.0.1:{free_port()}",
                "FRONT_CORE_IN_FLIGHT_MAX": str(limits.core),
                "FRONT_CALLBACKS_KEPT": str(limits.reserved),
                "FRONT_CALLBACKS_QUEUED_MAX": str(limits.queued),
                "FRONT_QUERY_IN_FLIGHT_MAX": str(limits.query),
                "FRONT_CONNECTIONS_MAX": "2000",
                **{f"FRONT_CORE_{n}": f"127.0.0.1:{each}" for n, each in enumerate(core, 1)},
                **{f"FRONT_QUERY_{n}": f"127.0.0.1:{each}" for n, each in enumerate(query, 1)},
            },
        )
    else:
        file = directory / "nginx.conf"
        file.write_text(_nginx(port, core, query, directory, limits), "utf-8")
        command, variables = [program(kind), "-p", str(directory), "-c", str(file)], {}
        command += ["-e", str(log), "-g", "daemon off;"]
    if exact:
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(HANG_S)


def _nginx(
    port: int, core: Sequence[int], query: Sequence[int], directory: Path, limits: Limits
) -> str:
    """Return the file with its lines marked ``# SITE`` changed, as an operator changes them."""
    text = (FILES / "nginx.conf").read_text("utf-8")
    in_flight_max = {
        "384": limits.core - limits.reserved,
        "256": limits.reserved,
        "64": limits.query,
    }

    def servers(line: re.Match[str]) -> str:
        ports = core if line["pool"] == "core" else query
        rest = re.sub(r"(?<=max_conns=)\d+", lambda n: str(in_flight_max[n[0]]), line["rest"])
        return "\n".join(f"server 127.0.0.1:{each} {rest};" for each in ports)

    text, changed = re.subn(
        r"server 127\.0\.0\.1:\d+ (?P<rest>[^;]*); # SITE (?P<pool>\w+)", servers, text
    )
    assert changed == 4
    text, changed = re.subn(r"listen 0\.0\.0\.0:8080", f"listen 127.0.0.1:{port}", text)
    assert changed == 1
    text, changed = re.subn(r"(?m)^pid .*;", f"pid {directory}/nginx.pid;", text)
    assert changed == 1
    text = text.replace("worker_connections 8000;", "worker_connections 1000;")
    directories = "".join(
        f"{name}_temp_path {directory}/nginx-{name};\n" for name in _NGINX_TEMPORARY
    )
    return text.replace("http {\n", f"http {{\n{directories}", 1)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + HANG_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if accepts(port):
            return
        time.sleep(0.02)
    raise AssertionError(f"the front does not listen:\n{log.read_text()[-2000:]}")
