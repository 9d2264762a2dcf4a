"""The back load received from peers: the highest counts, and expires in time."""

from gateway.overload.heartbeats import PeerLoads


def test_nothing_counts_before_anything_was_received() -> None:
    assert PeerLoads().worst(0.0) == 0.0
    assert PeerLoads().count(0.0) == 0


def test_the_highest_that_has_not_expired_counts() -> None:
    loads = PeerLoads()
    loads.receive([(0.3, 9.0), (1.1, 3.0), (0.7, 5.0)])
    assert [loads.worst(at_s) for at_s in (0.0, 2.9, 3.0, 4.9, 5.0, 8.9, 9.0)] == [
        1.1, 1.1, 0.7, 0.7, 0.3, 0.3, 0.0
    ]  # fmt: skip
    assert [loads.count(at_s) for at_s in (0.0, 3.0, 5.0, 9.0)] == [3, 2, 1, 0]


def test_what_is_received_replaces_what_was() -> None:
    loads = PeerLoads()
    loads.receive([(1.1, 3.0)])
    loads.receive([(0.2, 4.0)])
    assert loads.worst(1.0) == 0.2
    loads.receive([])
    assert loads.worst(1.0) == 0.0


def test_what_is_no_load_does_not_count() -> None:
    loads = PeerLoads()
    loads.receive([(float("nan"), 9.0), (-1.0, 9.0), (0.4, float("nan")), (0.2, 9.0)])
    assert loads.worst(1.0) == 0.2
