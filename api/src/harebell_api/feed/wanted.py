"""From the parameters of a stream to what it is to tell."""

from harebell_api.models import StreamQuery
from harebell_api.permissions import Access
from harebell_api.problems import FieldError, ProblemError, ProblemType
from harebell_api.queries import CursorError
from harebell_api.selector import parse_selector

from .cursor import Cursor, OneTask, decode, digest
from .many import Selected
from .one import Named, is_of
from .selection import Selection

LAST_EVENT_ID = "Last-Event-ID"


def wanted_of(
    query: StreamQuery, access: Access, namespace: str, last_event_id: str | None = None
) -> Selected | Named:
    """Return what is asked for. ``last_event_id`` is newer than the query's cursor, if there is one.

    :raises ProblemError: a parameter is wrong, or the cursor is not of this stream.
    """
    parameter = LAST_EVENT_ID if last_event_id else "cursor"
    text = last_event_id or query.cursor
    cursor = _decoded(text, parameter) if text is not None else None
    if query.task_id is not None:
        return _named(query, access, namespace, cursor, parameter)
    return _selected(query, access, namespace, cursor, parameter)


def _named(
    query: StreamQuery, access: Access, namespace: str, cursor: Cursor | None, parameter: str
) -> Named:
    task_id = query.task_id or ""
    others = {"label_selector": query.label_selector, "agent_type": query.agent_type, "phase": query.phase}
    wrong = [
        FieldError("not together with task_id", parameter=name) for name, given in others.items() if given
    ]
    if wrong:
        raise ProblemError(ProblemType.INVALID, "task_id names one Task, which needs no selection", wrong)
    scope = digest("task", namespace, task_id)
    if cursor is not None and not (isinstance(cursor, OneTask) and is_of(cursor, task_id, scope)):
        raise _not_of_this_stream(parameter)
    return Named(task_id, scope, access, cursor)


def _selected(
    query: StreamQuery, access: Access, namespace: str, cursor: Cursor | None, parameter: str
) -> Selected:
    try:
        labels = parse_selector(query.label_selector)
    except ValueError as error:
        wrong = FieldError(str(error), parameter="label_selector")
        raise ProblemError(ProblemType.INVALID, str(error), [wrong]) from error
    types = frozenset(query.agent_type) if query.agent_type else None
    phases = frozenset(phase.value for phase in query.phase)
    scope = digest("tasks", namespace, types, phases, query.label_selector.strip())
    if cursor is not None and (isinstance(cursor, OneTask) or cursor.scope != scope):
        raise _not_of_this_stream(parameter)
    visible = types if access.agent_types is None else access.agent_types & (types or access.agent_types)
    return Selected(Selection(visible, phases, labels), scope, digest(visible), cursor)


def _decoded(text: str, parameter: str) -> Cursor:
    try:
        return decode(text)
    except CursorError as error:
        wrong = FieldError(str(error), parameter=parameter)
        raise ProblemError(ProblemType.INVALID_CURSOR, str(error), [wrong]) from error


def _not_of_this_stream(parameter: str) -> ProblemError:
    detail = "the cursor is of another stream: give the parameters it came with, or no cursor"
    return ProblemError(ProblemType.INVALID_CURSOR, detail, [FieldError(detail, parameter=parameter)])
