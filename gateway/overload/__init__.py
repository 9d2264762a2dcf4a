"""May this request enter now: load, admission, shedding, overrides, rate limits, heartbeats."""
