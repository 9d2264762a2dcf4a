"""The OpenAPI 3.1 documents of the two listeners, generated from their routes and types."""
