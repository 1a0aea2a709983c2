"""What people may do where they have the cluster's own roles: the chart adds to those."""

import pytest
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.release import Release
from tests.support.waiting import until

MAY = {
    "view": {"get tasks", "list agents", "watch announcements", "get agentpools", "get buses"},
    "edit": {"create tasks", "patch agents", "delete announcements", "patch agentpools/scale"},
    "admin": {"delete buses"},
}
"""What each role brings beyond those before it."""
NOBODY = {"patch tasks/status", "update agents/status"}


def may(kubectl: Kubectl, user: str, what: str) -> bool:
    verb, resource = what.split()
    name, _, sub = resource.partition("/")
    part = [f"--subresource={sub}"] if sub else []
    try:
        answer = kubectl("auth", "can-i", verb, f"{name}.harebell.dev", f"--as={user}", *part)
    except CommandFailed as error:
        # "no" is an exit status too.
        answer = str(error).rpartition(" ")[2]
    assert answer.strip() in ("yes", "no"), answer
    return answer.strip() == "yes"


@pytest.mark.parametrize("role", MAY)
def test_a_role_of_the_cluster_holds_for_our_resources(release: Release, kubectl: Kubectl, role: str) -> None:
    user = f"{role}er"
    kubectl("create", "rolebinding", f"people-{role}", f"--clusterrole={role}", f"--user={user}")
    roles = list(MAY)
    mine = set().union(*(MAY[each] for each in roles[: roles.index(role) + 1]))
    everything = set().union(*MAY.values(), NOBODY)

    def allowed() -> bool:
        found = {what for what in everything if may(kubectl, user, what)}
        assert found == mine
        return True

    # The controller manager adds the rules some moments after the installation.
    until(f"{role} to hold", allowed, 30, interval=1)
