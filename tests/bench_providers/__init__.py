"""What it costs to verify and decode a callback, beside each provider's independent client."""
