"""What the simulators of several providers share."""
