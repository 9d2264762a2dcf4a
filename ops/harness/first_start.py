"""What an operator does once before the first start: sealing keys, tables, an API key.

``tidegate`` in the arguments runs ``tidegate ARGUMENTS`` to its end and returns its output.
"""

import json
from collections.abc import Callable, Sequence

from ops.embedded import errors


def prepare(tidegate: Callable[..., str], *, key_name: str, roles: Sequence[str]) -> str:
    """Create the sealing keys, migrate the database, create an API key; return its token."""
    tidegate("keys", "seal-init", "--if-missing")
    tidegate("migrate")
    return create_api_key(tidegate, name=key_name, roles=roles)


def create_api_key(tidegate: Callable[..., str], *, name: str, roles: Sequence[str]) -> str:
    """Create an API key with these roles; return its token. Raises ``errors.CannotStart``."""
    options = [argument for role in roles for argument in ("--role", role)]
    printed = tidegate("keys", "create", "--name", name, *options, "--json")
    try:
        return str(json.loads(printed)["token"])
    except (ValueError, KeyError, TypeError):
        raise errors.CannotStart("`tidegate keys create --json` printed no token.") from None
