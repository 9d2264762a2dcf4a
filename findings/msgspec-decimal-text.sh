#!/usr/bin/env bash
# msgspec 0.22.0 reads text into a Decimal by Python's grammar for numbers, also in strict mode.
#
# Strict mode takes no number in text for an int or a float, and its JSON Schema calls a Decimal a
# string of the format "decimal". Yet "9_9" is read as 99, " 1 " as 1, "+1" as 1 and the digits of
# another script as digits; a pattern, which could say what is meant, cannot be set for a Decimal.
# A reader in another language sees other numbers in the same document, or none.
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
import sys
from decimal import Decimal
from typing import Annotated

import msgspec

found = {}
for text in ("9_9", " 1 ", "+1", "１２", "1e2"):
    found[text] = str(msgspec.json.decode(msgspec.json.encode(text), type=Decimal, strict=True))
print("read as Decimal:", found)

refused = []
for kind in (int, float):
    try:
        msgspec.json.decode(b'"1"', type=kind, strict=True)
    except msgspec.ValidationError:
        refused.append(kind.__name__)
print("not read from text:", refused)

try:
    msgspec.json.Decoder(Annotated[Decimal, msgspec.Meta(pattern="^[0-9]+$")])
    pattern = "taken"
except TypeError as error:
    pattern = str(error)
print("a pattern for a Decimal:", pattern)

expected = {"9_9": "99", " 1 ": "1", "+1": "1", "１２": "12", "1e2": "1E+2"}
is_so = found == expected and refused == ["int", "float"] and "pattern" in pattern
print("as written here" if is_so else "this has changed")
sys.exit(0 if is_so else 1)
PYTHON
