"""The items of any stream."""

from collections.abc import AsyncGenerator

from .many import Selected, follow_many
from .message import Item
from .one import Named, follow_one
from .sources import Sources


def follow(sources: Sources, wanted: Named | Selected) -> AsyncGenerator[Item, None]:
    """Yield what the client is to be told. The last item, and no other, is an ``End``."""
    match wanted:
        case Named():
            return follow_one(sources, wanted)
        case Selected():
            return follow_many(sources, wanted)
