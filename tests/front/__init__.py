"""The fronts of ``ops/front`` before real gateways of the roles core and query."""
