"""Addresses that settings name."""

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
