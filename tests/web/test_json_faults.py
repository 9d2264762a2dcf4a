"""A rejected body names all its faults at once, in the terms of JSON."""

import importlib
import json
import pkgutil
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import order_leniency
from gateway.domain.errors import Fault
from gateway.domain.orders import Item, Submission, decode
from gateway.domain.remarks import RemarkChange
from gateway.web import handlers, json_body, json_faults, json_first_fault, json_syntax
from gateway.web.handlers.admin import OverrideBody, PlanBody
from gateway.web.handlers.missed import PushBody
from gateway.web.problems import ERRORS_MAX, Answered, problem
from tests.web.support import edited, order, order_bytes, with_token, without

_ENDLESS = 10_000


def _found(body: Any, type_: Any = Submission) -> dict[str, str]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    plain = json_faults.decode_plain(sent)
    if type_ is Submission:
        plain = order_leniency.mended(plain)
    return dict(json_faults.find(plain, type_, limit=_ENDLESS))


def _answered(body: bytes) -> dict[str, Any]:
    with pytest.raises(Answered) as rejected:
        json_body.decode(decode, body, Submission)
    answer: dict[str, Any] = msgspec.json.decode(rejected.value.response.body)
    return answer


def test_every_body_that_a_handler_reads_can_be_looked_at_again() -> None:
    """A type without a check would make bad input an error of ours."""
    bodies = {
        found
        for each in pkgutil.iter_modules(handlers.__path__)
        for found in vars(importlib.import_module(f"{handlers.__name__}.{each.name}")).values()
        if isinstance(found, type)
        and issubclass(found, msgspec.Struct)
        and found.__struct_config__.forbid_unknown_fields
    }
    assert {PushBody, OverrideBody} <= bodies
    for body in bodies:
        assert _found([], body) == {"body": "must be an object, not an array"}, body


def test_an_id_that_is_none_is_named() -> None:
    wrong = {"orders": ["W-1001", 7, "01a22e7b-1752-7d18-8849-0e41fb638b9d"]}
    assert _found(wrong, PushBody) == {
        "orders[0]": "must be a UUID",
        "orders[1]": "must be a string with a UUID, not a number",
    }


def test_all_faults_of_an_order_are_named_at_once() -> None:
    wrong = order(currency="cny", is_test="yes", remark=7, attributes=[])
    wrong["orderNo"] = wrong.pop("order_no")
    wrong["placed_at"] = "yesterday"
    wrong["items"] = [
        {"sku": 5, "name": "", "quantity": 1.5, "unit_price": True},
        {"sku": "x" * 65, "name": "Tea", "quantity": 0, "unit_price": "a lot", "colour": 1},
        [],
    ]
    wrong["amounts"] = {"goods": None, "payble": "1.00"}
    wrong["recipient"] = 7
    assert _found(wrong) == {
        "order_no": "is missing",
        "placed_at": "must be an RFC 3339 time with a time zone, as in 2026-11-27T20:00:00+08:00",
        "currency": "must be three capital letters (ISO 4217)",
        "items[0].sku": "must be a string, not a number",
        "items[0].name": "must not be empty",
        "items[0].quantity": "must be a whole number, without a decimal point or exponent",
        "items[0].unit_price": 'must be a decimal string, as in "199.00", not true',
        "items[1].sku": "must have 1 to 64 characters, not 65",
        "items[1].quantity": "must be from 1 to 100000",
        "items[1].unit_price": 'must be a decimal number, as in "199.00"',
        "items[1].colour": "is an unknown field",
        "items[2]": "must be an object, not an array",
        "amounts.goods": 'must be a decimal string, as in "199.00", not null',
        "amounts.payable": "is missing",
        "amounts.payble": "is an unknown field; did you mean payable?",
        "recipient": "must be an object, not a number",
        "remark": "must be a string, not a number",
        "is_test": "must be true or false, not a string",
        "attributes": "must be an object, not an array",
        "orderNo": "is an unknown field; did you mean order_no?",
    }


@pytest.mark.parametrize(
    ("type_", "body", "faults"),
    [
        (RemarkChange, {}, {"remark": "is missing"}),
        (RemarkChange, {"remark": "x" * 1025},
         {"remark": "must have at most 1024 characters, not 1025"}),
        (RemarkChange, {"remark": None}, {}),
        (OverrideBody, {"mode": "sehd", "reason": 1, "for_s": 0}, {
            "mode": "must be one of admit, early, shed; did you mean shed?",
            "reason": "must be a string, not a number",
            "for_s": "must be from 1 to 14400",
        }),
        (OverrideBody, {"mode": None, "reason": "", "for_s": "1h", "actor": "x"}, {
            "mode": "must be one of admit, early, shed, not null",
            "for_s": "must be a number, not a string",
            "actor": "is an unknown field",
        }),
        (PlanBody, {"steps": [{"target": "x", "from_at": 1, "untill": "2026"}]}, {
            "steps[0].mode": "is missing",
            "steps[0].from_at": "must be a string with a time, not a number",
            "steps[0].until": "is missing",
            "steps[0].reason": "is missing",
            "steps[0].untill": "is an unknown field; did you mean until?",
        }),
        (PlanBody, {"steps": {}}, {"steps": "must be an array, not an object"}),
        (list[Item], [], {}),
    ],
)  # fmt: skip
def test_every_body_is_read_alike(type_: Any, body: Any, faults: dict[str, str]) -> None:
    assert _found(body, type_) == faults


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("orderNo", "order_no"), ("ORDER-NO", "order_no"), ("order_nr", "order_no"),
        ("item", "items"), ("curency", "currency"), ("zzz", ""), ("o" * 5000, ""),
        ("\ud800", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_recognised(name: str, meant: str) -> None:
    known = [field.encode_name for field in msgspec.structs.fields(Submission)]
    suggestion = f"; did you mean {meant}?" if meant else ""
    assert json_faults.meant(name, known) == suggestion


_TOKENS = [
    "null", "true", "0", "-1", "7", "1.0", "1e2", "1e400", "1" + "0" * 400, '""', '" "', '"x"',
    '"CNY"', '"x\\n"', '"1.00"', '"1e5"', '"1_0"', '"' + "x" * 1030 + '"', "[]", "[7]",
    "{}", '{"sku": 1}', '"2026-01-01"', '"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00"',
    '"2026-13-01T00:00:00Z"', '"2026-01-01T00:00:00.' + "0" * 100 + 'Z"', '"\\u0000"', "100001",
]  # fmt: skip


def _paths(tree: Any, so_far: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inside:
        found.append((*so_far, key))
        if isinstance(value, dict | list):
            found += _paths(value, (*so_far, key))
    return found


_ORDER = order(is_test=True, remark="r", attributes={"a": 1})
_ORDER["recipient"] |= {"postcode": "1", "id_number": "2", "district": "d"}
_PATHS = _paths(_ORDER)


@given(
    st.lists(st.tuples(st.sampled_from(_PATHS), st.sampled_from(_TOKENS)), max_size=3),
    st.lists(st.sampled_from(_PATHS), max_size=2),
    st.lists(st.tuples(st.sampled_from([(), ("amounts",), ("recipient",)]), st.text(max_size=9)),
             max_size=2),
)  # fmt: skip
def test_both_looks_agree_whatever_is_sent(
    replaced: list[tuple[tuple[str | int, ...], str]],
    dropped: list[tuple[str | int, ...]],
    added: list[tuple[tuple[str, ...], str]],
) -> None:
    tree: Any = _ORDER
    for path in dropped:
        tree = _tried(without, tree, path)
    for path, name in added:
        tree = _tried(edited, tree, (*path, name), 1)
    tokens = {f"@{n}@": token for n, (_, token) in enumerate(replaced)}
    for mark, (path, _) in zip(tokens, replaced, strict=True):
        tree = _tried(edited, tree, path, mark)
    body = json.dumps(tree)
    for mark, token in tokens.items():
        body = body.replace(f'"{mark}"', token)
    try:
        decode(body.encode())
    except msgspec.ValidationError as exc:
        # The fault that msgspec stops at is one of those that the second look finds.
        first = json_first_fault.of(exc)
        if first.reason == "number out of range":
            # Of free-form attributes: only msgspec knows what it cannot hold.
            return
        fields = {_numbered_out(field) for field in _found(body.encode())}
        assert _numbered_out(first.field) in fields, (first, fields)
    except (msgspec.DecodeError, UnicodeEncodeError):
        pass
    else:
        assert _found(body.encode()) == {}


def _tried(change: Any, tree: Any, *arguments: Any) -> Any:
    try:
        return change(tree, *arguments)
    except (KeyError, IndexError, TypeError):
        return tree


def _numbered_out(field: str) -> str:
    """Return a field without the numbers of elements, of which msgspec names only some."""
    return "".join(char for char in field if not char.isdigit())


def test_an_answer_names_20_faults_and_says_that_there_are_more() -> None:
    answer = _answered(json.dumps({f"x{n}": n for n in range(500)}).encode())
    assert len(answer["errors"]) == ERRORS_MAX == 20
    assert answer["detail"].endswith("these are the first 20, there are more")
    exactly = [Fault(str(n), "is wrong") for n in range(20)]
    shown = msgspec.json.decode(problem("invalid", faults=exactly).body)
    assert (len(shown["errors"]), "more" in shown["detail"]) == (20, False)


def test_of_a_list_that_is_too_long_only_the_permitted_elements_are_read() -> None:
    found = _found(edited(order(), ["items"], [{}] * 3000))
    assert found["items"] == "must have 1 to 200 elements, not 3000"
    assert {field for field in found if field.endswith(".sku")} == {
        f"items[{n}].sku" for n in range(200)
    }


def test_a_large_body_gets_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_faults, "decode_plain", None)
    body = b'{"items":[' + b'{"sku":1},' * 100_000 + b"{}]}"
    assert _answered(body)["errors"] == [
        {"field": "items[0].sku", "reason": "must be a string, not a whole number"}
    ]
    for end, reason, at in (
        (b"{]", "object keys must be strings", 1),
        (b'{"remark": "', "the JSON ends too early", 12),
        (b'{"remark": "\xff', "the byte 0xff is not UTF-8", 12),
    ):
        answer = _answered(b" " * 70_000 + b"\n" + end)
        assert (answer["status"], answer["errors"][0]["reason"]) == (400, reason)
        place = {"line": 2, "column": at + 1, "byte": 70_001 + at}
        assert answer["context"] == place
    assert _answered(b'{"attributes":{"a":' + b"[" * 100_000)["status"] == 400


@pytest.mark.parametrize(
    ("body", "reason", "place"),
    [
        (b"", "the body is empty", None),
        (b" \n", "the body is empty", None),
        (b'{"a": 1', "the JSON ends too early", (1, 8, 7)),
        (b'{"a": "b', "the string that begins here does not end", (1, 7, 6)),
        (b'{\n  "a": 1\n  "b": 2}', "a comma or the closing bracket is expected", (3, 3, 13)),
        (b'{"a" 1}', "a colon is expected", (1, 6, 5)),
        (b"{'a': 1}", "a field name in double quotes is expected", (1, 2, 1)),
        (b'{"a": 1} x', "nothing may follow the JSON value", (1, 10, 9)),
        (b'{"a": NaN}', "NaN is not JSON", (1, 7, 6)),
        (b'{"a": tru}', "a value is expected", (1, 7, 6)),
        (b'{"a": "\\x"}', "JSON does not have this escape", (1, 8, 7)),
        (b'{"a": "x\ny"}', "a control character in a string must be escaped", (1, 9, 8)),
        ('{"名": }'.encode(), "a value is expected", (1, 7, 8)),
        (b'{"a":\n "caf\xe9"}', "the byte 0xe9 is not UTF-8", (2, 6, 11)),
        (b"\xef\xbb\xbf{}", "JSON must not begin with a byte order mark", (1, 1, 0)),
        (b'{"a": "\\ud800"}', "a character is escaped as half of a surrogate pair", None),
        (b"[" * 60_000, "JSON is nested too deeply", None),
    ],
)
def test_what_is_not_json_is_named_with_its_place(
    body: bytes, reason: str, place: tuple[int, int, int] | None
) -> None:
    answer = _answered(body)
    assert (answer["type"], answer["status"]) == ("/problems/malformed", 400)
    assert answer["errors"] == [{"field": "body", "reason": reason}]
    assert reason in answer["detail"]
    wanted = {} if place is None else dict(zip(("line", "column", "byte"), place, strict=True))
    assert answer.get("context", {}) == wanted


@given(st.binary(max_size=60))
def test_any_bytes_are_explained(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        assert json_syntax.find(body, str(exc)).reason


@pytest.mark.parametrize("digits", [4_000, 60_000])
@pytest.mark.parametrize("path", [["amounts", "goods"], ["items", 0, "quantity"], ["remark"]])
def test_a_number_of_many_digits_is_a_fault_of_the_body(path: list[str | int], digits: int) -> None:
    answer = _answered(with_token(order(channel=None), path, "1" * digits))
    assert answer["status"] == 422
    assert "channel" in str(answer["errors"]) or "too many digits" in str(answer["errors"])


def test_what_is_sent_twice_counts_as_sent_last() -> None:
    body = order_bytes()[:-1] + b', "remark": 1, "remark": "last"}'
    assert decode(body.replace(b'"remark": 1, ', b"")).remark == "last"
    # The first was wrong, and no decoder reads on after a fault.
    assert _answered(body)["status"] == 422
