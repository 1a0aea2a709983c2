"""The ``cursor`` of lists: a parameter, or a member of the body that ``pointer`` leads to."""

from harebell_api.problems import FieldError, ProblemError, ProblemType
from harebell_api.queries import CursorError, Place, decode_cursor, encode_cursor


def place_after(cursor: str | None, pointer: str | None = None) -> Place | None:
    """Return the place that a page begins after, or None: at the top.

    :raises ProblemError: it is not a cursor of this API.
    """
    if cursor is None:
        return None
    try:
        return decode_cursor(cursor)
    except CursorError as error:
        where = FieldError(str(error), pointer, None if pointer else "cursor")
        raise ProblemError(ProblemType.INVALID_CURSOR, str(error), [where]) from error


def cursor_of(place: Place | None) -> str | None:
    """Return the cursor of what follows a place, or None: nothing does."""
    return encode_cursor(place) if place is not None else None
