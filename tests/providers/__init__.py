"""Each adapter against its provider's own library, against tampering, and against noise."""
