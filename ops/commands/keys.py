"""`tidegate keys`: the group; API keys in `api_keys.py`, sealing keys in `seal_keys.py`.

Webhook secrets are made in `webhook_secret.py`.
"""

import click

from ops.commands import api_keys, seal_keys, seal_retire, webhook_secret

_EPILOG = """\
\b
Examples:
  tidegate keys create --name storefront --role ingest --channel web
  tidegate keys list
  tidegate keys seal-init
  tidegate keys webhook-secret > /etc/tidegate/wms.secret
"""


@click.group("keys", epilog=_EPILOG)
def command() -> None:
    """Make, list and revoke API keys; make sealing keys and webhook secrets.

    API keys let a storefront or a person in; they live in the database, as digests. Sealing keys
    encrypt private fields; they live in a file beside the gateway, never in the database, which has
    a check value of each: a process with another key ring does not start. Webhook secrets sign what
    is sent to targets; they live where the settings of the target say.
    """


for _subcommand in (api_keys.create, api_keys.list_, api_keys.revoke):
    command.add_command(_subcommand)
for _subcommand in (seal_keys.init, seal_keys.rotate, seal_keys.list_, seal_retire.retire):
    command.add_command(_subcommand)
command.add_command(webhook_secret.webhook_secret)
