"""Modules that the simulators of several providers share."""
