"""Kopf's settings, where its defaults would hurt."""

from itertools import islice

from harebell_operator.watch import settings


def test_an_outage_of_the_api_server_never_ends_the_operator() -> None:
    backoffs = settings().networking.error_backoffs
    assert not isinstance(backoffs, float)
    for _ in range(2):  # every request begins anew
        first = list(islice(backoffs, 1000))
        assert len(first) == 1000
        assert first[0] < 1
        assert max(first) <= 5
