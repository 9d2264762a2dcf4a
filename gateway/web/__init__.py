"""HTTP. Nothing else in the project knows an HTTP server."""
