"""Keeps a Task from the queue until the Tasks it depends on have finished as it needs.

* What cannot come any more ends the Task, also a suspended one: there would be nothing to resume.
* Every new attempt asks again. An end is final, so the answer is another only where a Task was deleted.
* ``queueDeadlineSeconds`` counts from the end of the last Task that was waited for. It stands still while
  one is under way, and runs while one does not exist: nothing else would end that.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from harebell_crds.task import TaskError, TaskPhase, TaskStatus

from .draft import MAX_MESSAGE, Draft
from .prerequisite import Prospect, inputs_of, inputs_problem
from .transitions import waiting, withdrawn

CYCLE = "DependencyCycle"
FAILED = "DependencyFailed"
MISSING = "DependencyMissing"
WAITING = "WaitingForDependencies"
INPUTS_TOO_LARGE = "InputsTooLarge"

NAMED = 5
"""Tasks that a message names; of more it says how many."""
REWORD = timedelta(seconds=10)
"""How long the words of a status may be behind as to which Tasks are still waited for."""


def give_up(draft: Draft) -> None:
    """End a Task that waits for what cannot come."""
    if draft.phase != TaskPhase.PENDING:
        return
    obs = draft.obs
    if obs.cycle:
        _fail(draft, CYCLE, f"the Tasks wait for one another: {_path(obs.cycle)}")
        return
    lost = [p for p in obs.prerequisites if p.prospect is Prospect.LOST]
    if lost:
        first = lost[0]
        more = f", and {len(lost) - 1} more did not succeed" if len(lost) > 1 else ""
        why = f" ({first.reason})" if first.reason and first.reason != first.phase else ""
        _fail(draft, FAILED, f"Task {first.name} had to succeed, and is {first.phase}{why}{more}")


def hold_back(draft: Draft) -> bool:
    """Say which Tasks are waited for; return whether the Task is to wait.

    One that is queued again, its message being lost or in the wrong lane, waits too where what it was given
    is not known any more: to run it without would be wrong.
    """
    obs = draft.obs
    open_ = [p.name for p in obs.prerequisites if p.prospect is Prospect.OPEN]
    missing = [p.name for p in obs.prerequisites if p.prospect is Prospect.MISSING]
    if not open_ and not missing:
        return False
    if draft.phase == TaskPhase.QUEUED:
        draft.status = withdrawn(draft.status)
    if missing:
        reason, message = MISSING, f"there is no Task {_some(missing)}; it may be applied later"
    else:
        reason, message = WAITING, f"waits for {_some(open_)} to finish"
    draft.status = waiting(draft.status, TaskPhase.PENDING, reason, message, draft.now, obs.generation)
    return True


def refuse_inputs(draft: Draft) -> None:
    """End a Task that would be given more than a message may hold."""
    problem = inputs_problem(inputs_of(draft.obs.prerequisites)) if draft.obs.prerequisites else None
    if problem is not None:
        _fail(draft, INPUTS_TOO_LARGE, problem)


def queue_clock(draft: Draft) -> tuple[datetime, ...] | None:
    """Return moments before which ``queueDeadlineSeconds`` does not count; None while it stands still."""
    obs = draft.obs
    prospects = {p.prospect for p in obs.prerequisites}
    if draft.phase == TaskPhase.PENDING and Prospect.OPEN in prospects and Prospect.MISSING not in prospects:
        return None
    ends = [p.completed_at for p in obs.prerequisites]
    return tuple(moment for moment in (*ends, obs.missing_since) if moment is not None)


def only_rewords(before: TaskStatus, after: TaskStatus) -> bool:
    """Return whether a status differs from an earlier one in nothing but which Tasks are waited for."""
    return after.reason in (MISSING, WAITING) and after == before.model_copy(
        update={"conditions": after.conditions, "observed_generation": after.observed_generation}
    )


def _fail(draft: Draft, code: str, message: str) -> None:
    error = TaskError(code=code, message=message[:MAX_MESSAGE])
    draft.finish(TaskPhase.FAILED, error.code, error.message, error=error)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _path(names: Iterable[str]) -> str:
    """Spell a cycle that starts and ends with the same name."""
    around = list(names)
    if len(around) > NAMED + 2:
        around = [*around[:NAMED], f"{len(around) - NAMED - 1} more", around[-1]]
    return " -> ".join(around)
