"""What the alerts go by, as an installed release exports it."""

from tests.support.kubectl import Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until


def test_the_operator_that_works_says_so(release: Release) -> None:
    (operator,) = release.pods("operator")
    assert release.metric(operator, 9090, "harebell_leading") == 1


def test_what_waits_for_an_agent_has_an_age(release: Release, kubectl: Kubectl) -> None:
    (operator,) = release.pods("operator")
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{operator}:9090/proxy/metrics"
    series = 'harebell_queue_oldest_timestamp_seconds{agent_type="nobody"}'
    kubectl.apply(manifest("unserved", agent_type="nobody"))
    until("its age to be exported", lambda: series in kubectl("get", "--raw", path), 30)
    kubectl("delete", "task", "unserved")
    until("its age to be gone", lambda: series not in kubectl("get", "--raw", path), 30)
