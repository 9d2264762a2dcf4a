"""`config` and `doctor` say the same of every account that the gateway would refuse."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain import money
from gateway.runtime.settings import Account, Settings, SettingsError
from gateway.web import accounts
from tests.ops.conftest import Cli
from tests.providers import subjects
from tests.providers.subjects import NAMES

_AWAY = {"TIDEGATE_DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/d", "TIDEGATE_REDIS_URL": ""}
#: Wrong however it is read, where it is an option of this name.
_WRONG_BY_NAME: dict[str, object] = {
    "currency": "XQQ",
    "certificates": ["no certificate"],
    "public_keys": [{"id": "PUB_KEY_ID_01", "pem": "no key"}],
    "roots": "no certificate",
    "chains": {"https://elsewhere.example/cert": "no certificate"},
}


def wrong_options(name: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield options that are wrong, each with the word that a reader has to be told."""
    usual = dict(subjects.subject(name).account.options)
    yield "no_such_option", usual | {"no_such_option": True}
    for field in msgspec.structs.fields(subjects.options_of(name)):
        option = field.encode_name
        yield option, usual | {option: 1.5}
        if option in _WRONG_BY_NAME:
            yield option, usual | {option: _WRONG_BY_NAME[option]}
        if option == "chains":
            yield "a value must be text in quotes", usual | {option: {"https://a.example": 1}}
        if option == "tolerance_s":
            yield option, usual | {option: 0}
            yield option, usual | {option: 10**9}
        if field.required:
            yield option, {key: value for key, value in usual.items() if key != option}


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _write(found: list[tuple[str, Account]]) -> None:
    rows = [
        f"[[accounts]]\n{name} = {_toml(value)}\n".replace("[[accounts]]\n", "", n > 0)
        for _, account in found
        for n, (name, value) in enumerate(msgspec.to_builtins(account).items())
        if value is not None
    ]
    Path("tidegate.toml").write_text("".join(rows), "utf-8")


def _accounts(name: str, secrets: list[str]) -> list[tuple[str, Account]]:
    return [
        (word, Account(name, f"wrong-{n}", ["web"], secrets, options))
        for n, (word, options) in enumerate(wrong_options(name))
    ]


@pytest.mark.parametrize("has_secrets", [True, False])
def test_a_wrong_option_is_told_alike(bare: Cli, tmp_path: Path, has_secrets: bool) -> None:
    found: list[tuple[str, Account]] = []
    for name in NAMES:
        references = ["env:NOT_SET_ANYWHERE"]
        if has_secrets:
            references = []
            for n, text in enumerate(subjects.subject(name).account.secrets):
                (tmp_path / f"{name}{n}").write_text(text, "utf-8")
                references.append(f"file:{tmp_path / f'{name}{n}'}")
        found += _accounts(name, references)
    if not has_secrets:
        # What only shows with a secret is hidden by the lack of it.
        found = [each for each in found if _is_wrong_by_shape(each[1])]
    _write(found)
    config = bare("config", "--short")
    doctor = json.loads(bare("doctor", "--json", **_AWAY).stdout)["findings"]
    told = {each["check"]: each["found"] for each in doctor if each["level"] == "fail"}
    assert config.exit_code == 2
    for word, account in found:
        check = f"account {account.provider}/{account.name}"
        assert check in told, f"doctor does not find {account.options}"
        assert re.search(rf"\b{re.escape(word)}\b", told[check]) or word in _WRONG_BY_NAME, told[
            check
        ]
        assert f"{check}: {told[check]}" in config.stderr
        assert "`" not in told[check], "words of the decoder"
        with pytest.raises(SettingsError, match=re.escape(told[check])):
            accounts.build(Settings(database_url="postgresql://", accounts=[account]), before={})


def _is_wrong_by_shape(account: Account) -> bool:
    wrong = [
        name for name, value in account.options.items()
        if name in _WRONG_BY_NAME and value == _WRONG_BY_NAME[name]
    ]  # fmt: skip
    return not wrong


def test_the_currency_that_is_none_is_none() -> None:
    assert _WRONG_BY_NAME["currency"] not in money.DECIMALS


def test_a_contradiction_with_is_test_is_told_alike(bare: Cli, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("whsec_" + "a1" * 16)
    live = Account("stripe", "main", ["web"], [f"file:{tmp_path / 'key'}"], {}, is_test=True)
    _write([("is_test", live)])
    doctor = json.loads(bare("doctor", "--json", **_AWAY).stdout)["findings"]
    (told,) = (each["found"] for each in doctor if each["check"] == "account stripe/main")
    assert told.startswith("is_test contradicts the options")
    assert f"account stripe/main: {told}" in bare("config").stderr


def test_a_secret_that_is_not_here_is_no_fault_of_the_settings(bare: Cli) -> None:
    """Who looks at settings need not have the secrets; the doctor runs where `serve` does."""
    _write([("", Account("stripe", "main", ["web"], ["env:NOT_SET_ANYWHERE"]))])
    assert bare("config").exit_code == 0
    doctor = json.loads(bare("doctor", "--json", **_AWAY).stdout)["findings"]
    (told,) = (each for each in doctor if each["check"] == "account stripe/main")
    assert (told["level"], "NOT_SET_ANYWHERE" in told["found"]) == ("fail", True)
