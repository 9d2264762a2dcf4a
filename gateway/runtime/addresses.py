"""Addresses that settings name."""

import errno
from urllib.parse import urlsplit


def is_plain_http(text: str) -> bool:
    """Return whether it is an http(s) URL that can be called, and shown: it has no password."""
    try:
        url = urlsplit(text)
        is_sound = bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    is_plain = text.isprintable() and " " not in text and "@" not in url.netloc
    return text.startswith(("https://", "http://")) and is_sound and is_plain


def is_base_url(text: str) -> bool:
    """Return whether it is such a URL that a path can be appended to."""
    return is_plain_http(text) and not text.endswith("/") and not {"?", "#"} & {*text}


def not_listening(
    host: str, port: int, problem: OSError, *, host_setting: str, port_setting: str
) -> str:
    """Say that nobody can listen there, why, and which of the two settings mends it."""
    if problem.errno == errno.EADDRINUSE:
        remedy = (
            f"choose another port with {port_setting}, or stop what listens there "
            f"(`ss -ltnp 'sport = :{port}'` shows it)"
        )
    elif problem.errno == errno.EACCES:
        remedy = f"choose a port above 1023 with {port_setting}"
    else:
        remedy = f"choose an address of this machine with {host_setting}"
    return f"cannot listen on {host or '*'}:{port} ({problem.strerror or problem}): {remedy}"
