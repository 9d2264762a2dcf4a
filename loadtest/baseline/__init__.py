"""What the gateway is compared with: a bare HTTP server, and a conventional service."""
