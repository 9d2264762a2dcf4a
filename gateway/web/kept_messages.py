"""Kept messages, decoded by the accounts that are configured now."""

from datetime import datetime

from gateway.domain.errors import Rejected
from gateway.intake.replays import Decoded, Undecodable
from gateway.providers import contract
from gateway.runtime.live import Live
from gateway.web.handlers.callbacks import Accounts


class AccountDecoder:
    """Decodes what an account of ``accounts`` accepted when it arrived."""

    def __init__(self, accounts: Live[Accounts]) -> None:
        self._accounts = accounts

    def decode(self, source: str, *, key: str, body: bytes, received_at: datetime) -> Decoded:
        """Return what a message of the account ``source`` tells now. Raises ``Undecodable``."""
        provider, _, name = source.partition(":")
        account = self._accounts.now.get((provider, name))
        if account is None:
            raise Undecodable(f"no account {provider}/{name} is configured in this process")
        try:
            reading = account.adapter.decode(contract.KeptMessage(body, received_at, key))
        except Rejected as exc:
            raise Undecodable(f"{provider}/{name} does not take it: {exc.reason}: {exc}") from exc
        return Decoded(
            provider=provider,
            policies=account.policies,
            items=[(item.key, item.event) for item in reading.items],
            is_test=account.is_test,
        )
