#!/usr/bin/env bash
# msgspec 0.22.0 drops the description of a field whose type is a union with a described type.
#
# Annotated[Money | UnsetType, Meta(description="outer")], where Money is itself annotated, has the
# inner description in its JSON Schema, without a warning: an API's document then says of one field
# what is meant of every field of that type. Of Money alone, and of Money | None, the outer
# description is kept.
#
# Needs python3 and the network.
# Exits 0 while this is so, and 1 when it has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'msgspec==0.22.0'

venv/bin/python - <<'PYTHON'
import json
import sys
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Money = Annotated[Decimal, Meta(description="inner")]


class Amounts(Struct):
    alone: Annotated[Money, Meta(description="outer")]
    nullable: Annotated[Money | None, Meta(description="outer")] = None
    unset: Annotated[Money | UnsetType, Meta(description="outer")] = UNSET


fields = msgspec.json.schema(Amounts)["$defs"]["Amounts"]["properties"]
print(json.dumps(fields, indent=1))
found = {name: field.get("description") for name, field in fields.items()}
print("descriptions:", found)
is_so = found == {"alone": "outer", "nullable": "outer", "unset": "inner"}
print("as written here" if is_so else "this has changed")
sys.exit(0 if is_so else 1)
PYTHON
