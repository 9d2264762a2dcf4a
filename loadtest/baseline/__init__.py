"""What the gateway is measured against: a bare HTTP server, and a plain team's service."""
