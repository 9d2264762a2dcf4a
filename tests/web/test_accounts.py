"""Provider accounts built anew: what has not changed goes on with all that it has learnt."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.providers import contract
from gateway.runtime.settings import Account, Settings, SettingsError
from gateway.web import accounts
from gateway.web.handlers.callbacks import Accounts
from tests.providers.paypal_samples import (
    CHAIN,
    NEXT_WEBHOOK_ID,
    PAID,
    ROOT,
    URL,
    WEBHOOK_ID,
    pem,
    signed,
)
from tests.providers.support import NOW

KEY = ("paypal", "main")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """One account of PayPal; its webhook id is in a file."""
    (tmp_path / "id").write_text(WEBHOOK_ID)
    account = Account("paypal", "main", ["web"], [f"file:{tmp_path / 'id'}"], {"roots": pem(ROOT)})
    return Settings(database_url="postgresql://nowhere", accounts=[account])


def changed(settings: Settings, **changes: Any) -> Settings:
    """Return the settings with changes to their one account."""
    account = msgspec.structs.replace(settings.accounts[0], **changes)
    return msgspec.structs.replace(settings, accounts=[account])


def learnt(settings: Settings) -> Accounts:
    """Return the account after its first message: it knows the certificate."""
    built = accounts.build(settings, before={})
    adapter = built[KEY].adapter
    assert isinstance(adapter, contract.Learner)
    adapter.learn(URL, CHAIN.encode(), now=NOW)
    return built


def test_an_account_that_has_not_changed_keeps_its_adapter(
    settings: Settings, tmp_path: Path
) -> None:
    before = learnt(settings)
    assert accounts.build(settings, before=before)[KEY].adapter is before[KEY].adapter
    # The same secret in another place is no change.
    (tmp_path / "elsewhere").write_text(WEBHOOK_ID + "\n")
    moved = changed(settings, secrets=[f"file:{tmp_path / 'elsewhere'}"])
    assert accounts.build(moved, before=before)[KEY].adapter is before[KEY].adapter


@pytest.mark.parametrize(
    "changes", [{"options": {"roots": pem(ROOT), "tolerance_s": 60}}, {"channels": ["app"]}]
)
def test_an_account_that_has_changed_gets_another_adapter(
    settings: Settings, changes: dict[str, Any]
) -> None:
    before = learnt(settings)
    after = accounts.build(changed(settings, **changes), before=before)
    assert after[KEY].adapter is not before[KEY].adapter


def test_a_rotated_secret_needs_no_certificate_fetched_again(
    settings: Settings, tmp_path: Path
) -> None:
    before = learnt(settings)
    (tmp_path / "id").write_text(NEXT_WEBHOOK_ID)
    after = accounts.build(settings, before=before)
    adapter = after[KEY].adapter
    message = signed(PAID.body, webhook_id=NEXT_WEBHOOK_ID)
    with pytest.raises(contract.DocumentMissing):
        adapter.read(message)
    accounts.hand_over(before, after, now=NOW)
    assert adapter.read(message).items


def test_a_certificate_is_not_handed_to_who_does_not_trust_it(settings: Settings) -> None:
    before = learnt(settings)
    after = accounts.build(changed(settings, options={}), before=before)
    accounts.hand_over(before, after, now=NOW)
    with pytest.raises(contract.DocumentMissing):
        after[KEY].adapter.read(PAID)


@pytest.mark.parametrize("content", ["", "no webhook id"])
def test_an_account_that_cannot_be_built_is_named(
    settings: Settings, tmp_path: Path, content: str
) -> None:
    before = learnt(settings)
    (tmp_path / "id").write_text(content)
    with pytest.raises(SettingsError, match="accounts: paypal/main: "):
        accounts.build(settings, before=before)


def test_a_process_that_only_reads_reads_no_secret(settings: Settings) -> None:
    query = msgspec.structs.replace(changed(settings, secrets=["file:/nowhere"]), role="query")
    assert accounts.build(query, before={}) == {}
