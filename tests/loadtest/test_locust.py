"""Locust as `make loadtest` starts it, against a real gateway: its command line and its page."""

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.runtime.settings import Account
from ops.harness import environment
from ops.harness.ports import free_port
from ops.simulators import keys, registry
from tests.support.patience import HANG_S
from tests.support.processes import Processes

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]


def printed_line(**variables: str) -> list[str]:
    """The command that `make loadtest` runs, in this environment instead of `.venv`."""
    given = [f"{name}={value}" for name, value in variables.items()]
    printed = subprocess.run(
        ["make", "-n", "loadtest", *given], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"^\.venv/bin/locust .*", printed.replace("\\\n", " "), re.MULTILINE)
    assert found is not None, printed
    command = shlex.split(found[0])
    return [sys.executable, "-m", "locust", *command[1:]]


@pytest.fixture
async def key_file(processes: Processes, tmp_path: Path) -> Path:
    """A file with a key that may do what a rehearsal does."""
    file = tmp_path / "api-key"
    file.write_text(await processes.make_token("ingest", "query"))
    return file


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    """A simulated account of Stripe, configured at the gateway."""
    account = registry.provider("stripe").create()
    keys.save(tmp_path / "stripe.json", account)
    (secret,) = keys.secret_files(tmp_path / "stripe.json", account)
    return [Account("stripe", "main", ["web"], [f"file:{secret}"], dict(account.options))]


@pytest.fixture
def gateway(processes: Processes) -> str:
    """The address of a running gateway."""
    port = free_port()
    processes.serve(port=port)
    return f"http://127.0.0.1:{port}"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment.without_settings(),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


def test_the_printed_line_rehearses_a_sale_with_payments(
    gateway: str, key_file: Path, tmp_path: Path
) -> None:
    line = printed_line(
        HOST=gateway,
        KEY_FILE=str(key_file),
        MINUTES="0.1",
        PEAK="10",
        ARGS=f"--payments stripe={tmp_path}/stripe.json",
    )
    done = run(line)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("/v1/orders", "/v1/callbacks/stripe/main", "Aggregated"):
        assert re.search(rf"{name} +\d+ +0\(0.00%\)", done.stdout + done.stderr), done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--peak", "-1"], "peak must be a number from 0.1 to 100000, not '-1.0'"),
        (["--hold-s", "nan"], "hold_s must be a number"),
        (["--payments", "nobody=x"], "payments: 'nobody=x' is not PROVIDER=FILE"),
        (["--key-file", "nowhere"], "there is no API key in nowhere"),
        (["--host", "127.0.0.1:8080"], "host must be like http://127.0.0.1:8080"),
        (["--host", "http://127.0.0.1:1"], "nothing answers at http://127.0.0.1:1"),
    ],
)
def test_a_wrong_option_is_one_sentence(key_file: Path, options: list[str], sentence: str) -> None:
    command = printed_line(KEY_FILE=str(key_file))
    done = run([*command, *options])
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_the_gateway_does_not_know_is_reported(gateway: str, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("tg_wrong")
    done = run(printed_line(HOST=gateway, KEY_FILE=str(tmp_path / "wrong")))
    assert done.returncode != 0
    assert f"the gateway at {gateway} does not accept the API key" in done.stderr


@contextmanager
def page(*options: str) -> Iterator[int]:
    """Locust's own page; the port it is on."""
    port = free_port()
    process = subprocess.Popen(
        [*printed_line(WEB="1"), f"--web-port={port}", *options],
        cwd=ROOT,
        env=environment.without_settings(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + HANG_S
        while True:
            try:
                if ask(port, "GET", "/")[0] == 200:
                    break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(HANG_S)
        finally:
            process.kill()


def ask(port: int, method: str, path: str, **fields: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request(method, path, urlencode(fields), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_every_field_of_the_page_works(gateway: str, key_file: Path, tmp_path: Path) -> None:
    """Wrong values are answered with a sentence, right ones start the sale that they describe."""
    payments = f"stripe={tmp_path}/stripe.json"
    form = {
        "host": gateway, "peak": "5", "minutes": "0.2", "quiet_s": "0", "hold_s": "60",
        "after_s": "0", "payments": "",
    }  # fmt: skip
    with page("--key-file", str(key_file)) as port:
        shown = ask(port, "GET", "/")[1]
        assert all(f'"{name}"' in shown or f"&#34;{name}&#34;" in shown for name in form)
        for name, wrong in (
            ("host", "nowhere"),
            ("host", "http://127.0.0.1:1"),
            ("peak", "many"),
            ("minutes", ""),
            ("quiet_s", "-1"),
            ("hold_s", "inf"),
            ("after_s", "x"),
            ("payments", "stripe"),
        ):
            status, body = ask(port, "POST", "/swarm", **{**form, name: wrong})
            assert status == 200, (name, body)
            answer = json.loads(body)
            assert answer["success"] is False
            assert answer["message"].startswith((name, "nothing answers")), answer
        for given in ("", payments):
            status, body = ask(port, "POST", "/swarm", **{**form, "payments": given})
            assert (status, json.loads(body)["success"]) == (200, True), body
            deadline_s = time.monotonic() + HANG_S
            wanted = "/v1/callbacks/stripe/main" if given else "POST /v1/orders"
            while True:
                stats = json.loads(ask(port, "GET", "/stats/requests")[1])
                counts = {each["name"]: each for each in stats["stats"]}
                if counts.get(wanted, {}).get("num_requests", 0) > 0:
                    break
                assert time.monotonic() < deadline_s, stats
                time.sleep(0.2)
            assert stats["errors"] == []
            assert ask(port, "GET", "/stop")[0] in (200, 405)
            ask(port, "POST", "/stop")


def test_make_loadtest_takes_nothing_of_the_environment() -> None:
    """A HOST that a shell exports for other purposes is not the gateway."""
    line = subprocess.run(
        ["make", "-n", "loadtest"],
        cwd=ROOT,
        env={**os.environ, "HOST": "my-machine", "WEB": "x", "KEY_FILE": "x"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "--host 'http://127.0.0.1:8080'" in line
    assert "--headless" in line
    assert "--key-file" not in line
