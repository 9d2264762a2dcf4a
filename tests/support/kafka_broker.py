"""A real Kafka broker in KRaft mode, of its jars from Maven Central; it needs Java and Maven.

The jars are fetched once, below ``build/``, and each must have the checksum that is kept beside
their list. Where there is no Java, no Maven or no way to Maven Central, the tests that need the
broker are skipped and say so.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ops.embedded.processes import Runner, Service
from ops.harness.ports import accepts, free_port
from tests.support.patience import HANG_S

_ROOT = Path(__file__).resolve().parents[2]
_PINS = _ROOT / "tests" / "interop" / "fixtures" / "kafka"
_PLACE = _ROOT / "build" / "kafka"

#: 45 jars; a slow line needs minutes and a dead one must not hang the tests.
_FETCH_S_MAX = 600

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
message.max.bytes=100000
"""


class NotHere(Exception):
    """There can be no broker on this machine. The text says why."""


class Broker:
    """One broker. Its topics are made by name, with three partitions each."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self._properties = directory / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(port=self.port, controller=free_port(), data=directory / "data")
        )
        self._java = [_program("java"), "-Xmx256m", "-cp", str(_jars() / "*")]
        self._runner = Runner(logs=directory, pids=directory, environment={"LC_ALL": "C"})
        self._service: Service | None = None

    def format(self) -> None:
        """Its storage is made, once."""
        command = ["kafka.tools.StorageTool", "format", "-t", uuid4().hex[:22], "-c"]
        subprocess.run(
            [*self._java, *command, str(self._properties)],
            check=True,
            capture_output=True,
            timeout=HANG_S,
        )

    def start(self) -> None:
        """It accepts connections afterwards."""
        self._service = self._runner.start(
            "kafka",
            [*self._java, "kafka.Kafka", str(self._properties)],
            death_signal=signal.SIGKILL,
        )
        self._runner.wait_ready(self._service, lambda: accepts(self.port), timeout_s=HANG_S)

    def kill(self) -> None:
        """It has ended at once, as in a crash."""
        if self._service is not None:
            self._service.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and answers nothing, until the end of the block."""
        assert self._service is not None, "only what was started can be frozen"
        self._service.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._service.send(signal.SIGCONT)


@contextmanager
def broker_in(directory: Path) -> Iterator[Broker]:
    """Yield a broker that runs. Raises ``NotHere``."""
    broker = Broker(directory)
    try:
        broker.format()
        broker.start()
        yield broker
    finally:
        broker.kill()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"no {name} on this machine, so no Kafka broker was started")
    return found


def _jars() -> Path:
    """Return the directory of the jars, fetched and checked."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    pins = (_PINS / "kafka.sha256").read_text()
    jars = _PLACE / hashlib.sha256(pins.encode()).hexdigest()[:16]
    with (_PLACE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not jars.is_dir():
            fetched = jars.with_suffix(f".{os.getpid()}")
            _fetch(fetched)
            _check(fetched, pins)
            fetched.rename(jars)
    return jars


def _fetch(into: Path) -> None:
    command = [_program("mvn"), "-q", "-B", "-f", str(_PINS / "pom.xml")]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        subprocess.run(
            [*command, f"-DoutputDirectory={into}"],
            check=True,
            capture_output=True,
            timeout=_FETCH_S_MAX,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        shutil.rmtree(into, ignore_errors=True)
        raise NotHere("Maven could not fetch Kafka's jars, so no broker was started") from exc


def _check(jars: Path, pins: str) -> None:
    """What was fetched is what is pinned, and nothing else: a wrong jar fails the tests."""
    lines = [line.split("  ", 1) for line in pins.splitlines()]
    wanted = {name: digest for digest, name in lines}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in jars.iterdir()}
    assert found == wanted, "Kafka's jars are not those that kafka.sha256 pins"
