"""What is printed is compared as a reader would: ids and times may differ, words may not."""

import pytest

from tests.newcomer import answers


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("a", "a\n"),
        ("a  b", "a b"),
        ('{"a":1,\n "b":2}', '{"a":1,"b":2}'),
        ("201 Created\n…\nLocation: /x", "201 Created\r\nA: 1\r\nB: 2\r\nLocation: /x"),
        ("…\nlast", "first\nsecond\nlast"),
        ("…\nlast", "last"),
        ("took … ms", "took 12.5 ms"),
        ("key tg_…", "key tg_abc.def"),
        ("01a209e1-6c1b-7a30-8fca-993ca3def24d", "01a209e1-0000-7a30-8fca-993ca3def24e"),
        ("at 2026-11-23T10:00:00Z", "at 2027-01-02T03:04:05.678+08:00"),
        ("Date: Mon", "Date: Tue, 01 Jan 2030 00:00:00 GMT"),
        ("a|b (c) [d] .*", "a|b (c) [d] .*"),
        ("", ""),
    ],
)  # fmt: skip
def test_it_is_as_said(said: str, printed: str) -> None:
    assert answers.is_as_said(printed, said)


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("all 24 checks hold", "all 25 checks hold"),
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("took … ms", "took\n12 ms"),
        ("a … c", "a b"),
        ("", "something"),
        (".*", "anything"),
        ("01a209e1-6c1b-7a30-8fca-993ca3def24d", "01a209e1"),
    ],
)
def test_it_is_not_as_said(said: str, printed: str) -> None:
    assert not answers.is_as_said(printed, said)
