"""Whether the embedded database is as a migration would leave it.

Asked with one query: `tidegate migrate` is a process that loads a toolkit, which takes longer than
everything else of a restart.
"""

from ops.embedded import processes
from ops.embedded.cluster import Servers
from ops.migrations import version

#: The revision, and whether this month has its partition of raw messages. Those of the coming
#: months are made by the worker.
_QUERY = """
SELECT max(version_num),
    to_regclass(to_char(now() AT TIME ZONE 'UTC', '"raw_messages_"YYYY_MM')) IS NOT NULL
FROM alembic_version;
"""


def is_newest(servers: Servers) -> bool:
    """Return whether nothing has to be migrated; False where that cannot be found out."""
    try:
        return servers.ask_primary(_QUERY) == f"{version.HEAD}|t"
    except processes.HelperFailed:
        return False
