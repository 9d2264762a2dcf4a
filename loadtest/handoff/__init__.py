"""``make bench-handoff``: the dispatcher beside a plain team's stack, and what it costs.

``__main__`` reads the options and sets the exit status, ``plan`` holds the order of the run.
``celery_worker`` (with ``staging``) and ``tidegate_worker`` deliver staged events to the same
``receiver``, which ``watching`` asks; ``latency`` (with ``paying``) measures from the reply to a
payment to the warehouse, ``intake`` what the dispatcher costs the intake, ``stored_attempts`` what
a year of attempts costs both. ``verdict`` compares with floors, ``report`` prints.

``recorder`` is the receiver of ``make demo`` and of the fault matrix: it forgets nothing.
"""
