"""A URL has one meaning, or none."""

import pytest

from gateway.clients import outbound_url
from gateway.clients.outbound_url import BadUrl, Destination


@pytest.mark.parametrize(
    ("url", "is_tls", "host", "port", "authority", "target"),
    [
        ("https://a.example/hook", True, "a.example", 443, "a.example", "/hook"),
        ("http://A.example:81?a=b%3A/c", False, "a.example", 81, "a.example:81", "/?a=b%3A/c"),
        ("https://a.example:443", True, "a.example", 443, "a.example", "/"),
        ("http://a.example:443/", False, "a.example", 443, "a.example:443", "/"),
        ("http://10.0.0.1/x", False, "10.0.0.1", 80, "10.0.0.1", "/x"),
        ("https://[2001:DB8:0::1]:4/x", True, "2001:db8::1", 4, "[2001:db8::1]:4", "/x"),
        ("http://a_b.internal/", False, "a_b.internal", 80, "a_b.internal", "/"),
        ("http://h/p@q/a:b?c@d//e?f", False, "h", 80, "h", "/p@q/a:b?c@d//e?f"),
    ],
)
def test_the_parts_of_a_url(
    url: str, is_tls: bool, host: str, port: int, authority: str, target: str
) -> None:
    """What is percent-encoded stays as it was written: it may have been signed."""
    is_address = host in {"10.0.0.1", "2001:db8::1"}
    expected = Destination(is_tls, host, port, authority, target, is_address)
    assert outbound_url.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "empty"),
        ("hook", "does not begin"),
        ("//h/x", "does not begin"),
        ("ftp://h/", "does not begin"),
        ("gopher://127.0.0.1:6379/_x", "does not begin"),
        ("file:///etc/passwd", "does not begin"),
        ("HTTPS://h/", "does not begin"),
        ("https:/h/", "does not begin"),
        ("https:h", "does not begin"),
        ("https://", "no host"),
        ("https:///h", "no host"),
        ("https://?x", "no host"),
        ("https://h:0/", "not from 1"),
        ("https://h:65536/", "not from 1"),
        ("https://h:/", "malformed"),
        ("https://h:8o/", "malformed"),
        ("https://h:80:80/", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://::1/", "malformed"),
        ("https://u@h/", "user name"),
        ("https://u:p@h/", "user name"),
        ("https://public.example@127.0.0.1/", "user name"),
        ("https://127.0.0.1:80@public.example", "user name"),
        ("https://a?b@c/", None),
        ("https://h/#f", "fragment"),
        ("https://public.example#@127.0.0.1/", "fragment"),
        ("https://h /", "characters"),
        ("https://h/a b", "characters"),
        ("https://h/\r\nX: y", "characters"),
        ("https://h\t/", "characters"),
        ("https://h\x00/", "characters"),
        ("https://h/\n", "characters"),
        ("https://public.example\\@127.0.0.1/", "characters"),
        ("https://h\\x/", "characters"),
        ("https://h/<>", "characters"),
        ("https://höst/", "not ASCII"),
        ("https://①②⑦.⓪.⓪.①/", "not ASCII"),
        ("https://127。0。0。1/", "not ASCII"),
        ("https://h%2eexample/", "no host name"),
        ("https://%31%32%37.0.0.1/", "no host name"),
        ("https://example.com./", "ends in a dot"),
        ("https://localhost./", "ends in a dot"),
        ("https://127.0.0.1./", "usual form"),
        ("https://a..b/", "no host name"),
        ("https://.a/", "no host name"),
        ("https://-a.b/", "no host name"),
        ("https://" + "a" * 64 + "/", "no host name"),
        ("https://" + "a." * 130 + "b/", "no host name"),
        ("https://h/" + "a" * 2048, "too long"),
        # the loopback address, as inet_aton and browsers read it
        ("https://2130706433/", "usual form"),
        ("https://0x7f000001/", "usual form"),
        ("https://0x7f.1/", "usual form"),
        ("https://0x7f.0x0.0x0.0x1/", "usual form"),
        ("https://017700000001/", "usual form"),
        ("https://0177.0.0.1/", "usual form"),
        ("https://127.1/", "usual form"),
        ("https://127.0.1/", "usual form"),
        ("https://127.0.0.01/", "usual form"),
        ("https://0/", "usual form"),
        ("https://0x/", "usual form"),
        ("https://256.256.256.256/", "usual form"),
        ("https://1.2.3.4.5/", "usual form"),
        ("https://[127.0.0.1]/", "usual form"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[v1.x]/", "usual form"),
        ("https://[::1].example/", "malformed"),
    ],
)
def test_what_two_readers_could_read_differently(url: str, why: str | None) -> None:
    if why is None:
        assert outbound_url.parse(url).host == "a"
        return
    with pytest.raises(BadUrl, match=why) as refused:
        outbound_url.parse(url)
    assert url not in str(refused.value) or len(url) < 5
