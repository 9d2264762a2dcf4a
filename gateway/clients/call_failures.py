"""Why a call has no answer, in words that a person understands.

They are ours: no text of a server, and of no library that may quote one, is ever among them.
"""

import socket
import ssl


class CallFailed(Exception):
    """There is no answer that can be used. Its text is safe to log: it quotes no server."""


class ConnectionGone(CallFailed):
    """The server closed the connection before the first byte of an answer."""


def of_connecting(exc: OSError) -> CallFailed:
    """Say why there is no connection."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        # OpenSSL's own words, from a closed list.
        return CallFailed(f"the server's certificate is not valid: {exc.verify_message}")
    if isinstance(exc, ssl.SSLError):
        return CallFailed("the TLS handshake failed: is that a port for https?")
    if isinstance(exc, socket.gaierror):
        return CallFailed("the host name cannot be resolved")
    if isinstance(exc, ConnectionRefusedError):
        return CallFailed("the connection was refused: nothing listens there")
    if isinstance(exc, TimeoutError):
        return CallFailed("the server cannot be reached: it does not answer")
    if isinstance(exc, ConnectionError):
        return CallFailed("the connection was closed before it was established")
    return CallFailed("the server cannot be reached")
