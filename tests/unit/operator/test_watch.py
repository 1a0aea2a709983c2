"""Kopf's settings, where its defaults would hurt."""

from itertools import islice
from typing import Any, NoReturn

import kopf

from harebell_operator.apiserver import PAGE
from harebell_operator.watch import settings


def test_an_outage_of_the_api_server_never_ends_the_operator() -> None:
    backoffs = settings().networking.error_backoffs
    assert not isinstance(backoffs, float)
    for _ in range(2):  # every request begins anew
        first = list(islice(backoffs, 1000))
        assert len(first) == 1000
        assert first[0] < 1
        assert max(first) <= 5


class Uncopied(dict[str, Any]):
    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise AssertionError("the object was copied")


def test_objects_are_not_copied_and_nothing_is_stored_on_them() -> None:
    storage = settings().persistence.diffbase_storage
    body = kopf.Body({"metadata": {"name": "large"}, "spec": Uncopied()})
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    assert not patch


def test_watches_begin_with_lists_in_pages() -> None:
    """All Tasks at once may be more than there is memory for."""
    assert settings().watching.chunk_size == PAGE
