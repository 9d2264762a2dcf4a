"""The two ways a start fails.

CannotStart     the user must change something; the message says what and how
└── NotReady    a server was started and did not become usable; the message ends with its log
"""


class CannotStart(Exception):
    """Nothing was left running. The message is complete sentences, meant to be printed as it is."""


class NotReady(CannotStart):
    """A server ended by itself while starting, or did not answer in time."""
