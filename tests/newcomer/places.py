"""What stands for the ports and the servers that a page names, while it is played.

The guides say 8080 and `primary`. Here each port is a free one, the same for the whole page, and
the servers "of your own" are embedded ones.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.embedded import binaries
from ops.embedded.cluster import Servers
from ops.harness.ports import free_port

#: The ports of the guides: gateways and fronts, Locust, Prometheus, the status page of workers.
PORTS = (8080, 8081, 8082, 8089, 8090, 8091, 8092, 9090, 9464)
_DATABASE = "postgresql://user:password@{}/tidegate"
_REDIS = "redis://:password@{}:6379/0"
_SETTINGS = "/etc/tidegate/"
_OF_PIP = re.compile(r"PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE|(?i:https?_proxy|no_proxy)$")


class Places:
    """Translates the text of a page into what is really there."""

    def __init__(self, words: Mapping[str, str], ports: Sequence[int] = PORTS) -> None:
        self._words = dict(words)
        self.ports = {port: free_port() for port in ports}
        named = "|".join(map(str, ports))
        self._port = re.compile(rf"(?<![\w.])({named})(?![\w.]\d|\d)")

    def real(self, text: str) -> str:
        """Return the text with the ports and servers that really are there."""
        for word, real in self._words.items():
            text = text.replace(word, real)
        return self._port.sub(lambda match: str(self.ports[int(match[1])]), text)


def of_servers(servers: Servers, settings: Path) -> dict[str, str]:
    """Return the addresses of servers by the words of the guides."""
    return {
        _DATABASE.format("primary"): servers.database_url,
        _DATABASE.format("replica"): servers.replica_url,
        _REDIS.format("cache"): servers.redis_url,
        _REDIS.format("journal"): servers.journal_url,
        _SETTINGS: f"{settings}/",
    }


def environment(
    clone: Path, home: Path, *, ports: Mapping[int, int], has_servers: bool, installs: bool
) -> dict[str, str]:
    """Return the environment of a reader's terminal: theirs, with nothing of ours.

    With servers of their own they have the commands of Tidegate and of PostgreSQL on the path. Who
    may have to install something needs what tells pip where packages are.
    """
    path = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    if has_servers:
        path = [str(clone / ".venv" / "bin"), str(binaries.find_postgres()), *path]
    kept = {name: value for name, value in os.environ.items() if installs and _OF_PIP.match(name)}
    return {
        **kept,
        "PATH": os.pathsep.join(path),
        "HOME": str(home),
        "USER": "newcomer",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        # The defaults may be in use by another program of this machine.
        "TIDEGATE_PORT": str(ports[8080]),
        "TIDEGATE_WORKER_METRICS_PORT": str(ports[9464]),
    }
