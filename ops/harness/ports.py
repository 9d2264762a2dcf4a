"""TCP ports of this machine."""

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of ``host`` on which no process listens at the moment.

    The kernel chooses from the range of outgoing connections, so another process may take the
    port before the caller listens: use it at once, and do not store it for a later run.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int, *, timeout_s: float = 1.0) -> bool:
    """Return whether a server on the loopback accepts connections on ``port``."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
