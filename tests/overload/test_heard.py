"""What other processes told: the worst is believed, and forgotten in time."""

from gateway.overload.heard import Heard


def test_nothing_is_believed_before_anything_was_told() -> None:
    assert Heard().back(0.0) == 0.0
    assert Heard().count(0.0) == 0


def test_the_worst_that_still_counts_is_believed() -> None:
    heard = Heard()
    heard.hear([(0.3, 9.0), (1.1, 3.0), (0.7, 5.0)])
    assert [heard.back(at_s) for at_s in (0.0, 2.9, 3.0, 4.9, 5.0, 8.9, 9.0)] == [
        1.1, 1.1, 0.7, 0.7, 0.3, 0.3, 0.0
    ]  # fmt: skip
    assert [heard.count(at_s) for at_s in (0.0, 3.0, 5.0, 9.0)] == [3, 2, 1, 0]


def test_what_is_heard_takes_the_place_of_what_was() -> None:
    heard = Heard()
    heard.hear([(1.1, 3.0)])
    heard.hear([(0.2, 4.0)])
    assert heard.back(1.0) == 0.2
    heard.hear([])
    assert heard.back(1.0) == 0.0


def test_nonsense_is_not_believed() -> None:
    heard = Heard()
    heard.hear([(float("nan"), 9.0), (-1.0, 9.0), (0.4, float("nan")), (0.2, 9.0)])
    assert heard.back(1.0) == 0.2
