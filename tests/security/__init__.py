"""What must not be seen where."""
