"""An edit of a remark: what it leaves alone, and when it is none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import orders, remarks
from gateway.domain.orders import Private
from gateway.domain.remarks import Edit, RemarkChange, Replace
from tests.domain.support import NOW, new_id, submission

_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def edit(remark: str | None, version: int | None = None) -> Edit:
    return Edit(new_id(), None, None, remark, version, b"{}", "key:1", NOW)


def opened(private: bytes) -> Private:
    return msgspec.json.decode(private, type=Private)


def sealed(remark: str | None = None) -> bytes:
    """Return the private part of an order as placements write it."""
    sent = submission(remark=remark, attributes={"gift": [1, {"a": None}], "f": 1.5})
    return msgspec.json.encode(orders.private_part(sent))


@given(before=_texts, after=_texts)
def test_the_remark_is_replaced_and_nothing_else(before: str | None, after: str | None) -> None:
    private = sealed(before)
    verdict = remarks.judge(edit(after), version=1, private=private)
    if before == after:
        assert verdict == "same"
        return
    assert isinstance(verdict, Replace)
    assert opened(verdict.private) == msgspec.structs.replace(opened(private), remark=after)


def test_what_this_program_can_not_read_is_left_as_it_is() -> None:
    rest = (
        b'"name":"Li","phone":"1","street":"","attributes":{"n":1e999,"big":18446744073709551616}'
    )
    verdict = remarks.judge(
        edit("b"), version=1, private=b"{" + rest + b',"remark":"a","new":1.10}'
    )
    assert verdict == Replace(b"{" + rest + b',"new":1.10,"remark":"b"}')


@pytest.mark.parametrize("version", [None, 1, 2])
def test_what_is_so_already_is_no_conflict(version: int | None) -> None:
    assert remarks.judge(edit("a", version), version=1, private=sealed("a")) == "same"
    assert remarks.judge(edit(None, version), version=1, private=sealed()) == "same"


def test_only_the_version_that_was_named_is_changed() -> None:
    for version, private in ((2, sealed("a")), (1, sealed())):
        assert remarks.judge(edit("b", 3), version=version, private=private) == "version_changed"
        verdict = remarks.judge(edit("b", version), version=version, private=private)
        assert isinstance(verdict, Replace)


def test_nothing_and_an_empty_text_are_two_remarks() -> None:
    assert isinstance(remarks.judge(edit(""), version=1, private=sealed()), Replace)
    assert isinstance(remarks.judge(edit(None), version=1, private=sealed("")), Replace)


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'{"remark":1}', b'{"remark":"a","x":1}', b'{"remark":"%b"}' % (b"x" * 1025)],
)
def test_a_body_of_another_shape_is_rejected(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        remarks.decode(body)


def test_a_remark_may_be_what_a_submitted_one_may() -> None:
    for text in ("x" * 1024, "", "two\r\nlines\t", "盡快", None):
        assert remarks.decode(msgspec.json.encode({"remark": text})).remark == text


def test_the_text_is_not_shown_where_an_edit_is() -> None:
    assert "secret" not in repr(edit("secret")) + repr(RemarkChange("secret"))
