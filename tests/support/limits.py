"""Limits as the settings have them by default, but for those that a test is about."""

from typing import Any

from gateway.runtime import live
from gateway.runtime.live import Limits, Live
from gateway.runtime.settings import Settings


def limits(**changes: Any) -> Live[Limits]:
    return Live(live.limits(Settings(database_url="postgresql://nowhere", **changes)))
