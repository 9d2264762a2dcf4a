"""What became of the requests of the last moments."""

from gateway.intake.lately import Lately


def test_shares_are_of_the_last_ticks_alone() -> None:
    lately = Lately(ticks=2)
    assert (lately.refused, lately.share, lately.core_share) == (0, 0.0, 0.0)
    lately.note(asked=100, refused=60, core_refused=10, answered=30)
    assert (lately.refused, lately.share, lately.core_share) == (60, 0.6, 0.25)
    lately.note(asked=200, refused=60, core_refused=10, answered=130)
    assert (lately.refused, lately.share, lately.core_share) == (60, 0.3, 10 / 140)
    lately.note(asked=300, refused=60, core_refused=10, answered=230)
    assert (lately.refused, lately.share, lately.core_share) == (0, 0.0, 0.0)


def test_what_was_taken_back_is_no_share() -> None:
    lately = Lately(ticks=2)
    lately.note(asked=10, refused=10, core_refused=0, answered=0)
    lately.note(asked=9, refused=9, core_refused=0, answered=0)
    lately.note(asked=8, refused=8, core_refused=0, answered=0)
    assert lately.share == 0.0
    # Refused after it was let in, as a body that came late: asked once, and long ago.
    lately.note(asked=8, refused=12, core_refused=4, answered=0)
    assert (lately.share, lately.core_share) == (0.0, 1.0)
    lately.note(asked=9, refused=14, core_refused=6, answered=0)
    assert (lately.share, lately.core_share) == (1.0, 1.0)
