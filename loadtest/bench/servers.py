"""stand-in"""
from typing import NamedTuple
class Addresses(NamedTuple):
    """Where the servers listen; empty when none were needed."""

    database_url: str = ""
    redis_url: str = ""
    replica_url: str = ""
