"""What the composition root does by itself."""

import gc

from harebell_operator.main import keep_heap


def test_what_is_there_at_the_start_is_not_looked_at_again() -> None:
    here: list[object] = [[]]
    try:
        keep_heap()
        assert gc.get_freeze_count() > 0
        assert not any(found is here for found in gc.get_objects())
        new: list[object] = [[]]
        assert any(found is new for found in gc.get_objects())
    finally:
        gc.unfreeze()
