"""What reading costs the API server: nothing."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.api import Api, running
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.waiting import until

from harebell_api.kube import WATCH_SECONDS, Kind
from harebell_crds import API_VERSION

pytestmark = pytest.mark.timeout(300, func_only=True)  # bringing up a cluster takes longer

READS = 2000


@pytest.fixture
def flow(kubectl: Kubectl, service_account: str) -> Iterator[str]:
    """A flow of the API server's that holds the requests of this ServiceAccount and no others.

    ``apiserver_request_total`` does not say who asked, and in a cluster there are others who do.
    """
    name = f"harebell-{kubectl.namespace}"
    subject = {"name": service_account, "namespace": kubectl.namespace}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    kubectl.apply(
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": name},
            "spec": {
                "matchingPrecedence": 100,
                "priorityLevelConfiguration": {"name": "workload-low"},
                "rules": [
                    {
                        "subjects": [{"kind": "ServiceAccount", "serviceAccount": subject}],
                        "resourceRules": [everything],
                    }
                ],
            },
        }
    )
    kubectl("wait", "--for=condition=Dangling=False", f"flowschema/{name}", "--timeout=60s")
    yield name
    kubectl("delete", "flowschema", name, "--wait=false")


def requests(kubectl: Kubectl, flow: str) -> int:
    """Return how many requests the API server has served in a flow, watches included."""
    wanted = "apiserver_flowcontrol_dispatched_requests_total{"
    lines = kubectl("get", "--raw", "/metrics").splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith(wanted) and f'flow_schema="{flow}"' in line
    )


def test_reads_ask_the_api_server_nothing(
    flow: str, chart_kubeconfig: Path, namespace: str, key_folder: Path, kubectl: Kubectl
) -> None:
    kubectl.apply(
        manifest("read", "nobody", "echo"),
        {"apiVersion": API_VERSION, "kind": "Agent", "metadata": {"name": "read"}, "spec": {"type": "text"}},
    )
    with running(chart_kubeconfig, namespace, key_folder) as api:
        started = time.monotonic()
        until("its lists and watches counted", lambda: requests(kubectl, flow) >= 2 * len(Kind))
        # What does cost something is counted: a name that nobody knows is asked of the API server.
        before = requests(kubectl, flow)
        assert api.http.get("/api/v1/status/unknown").status_code == 404
        assert requests(kubectl, flow) == before + 1

        before, begun = requests(kubectl, flow), time.monotonic()
        read(api)
        ended, after = time.monotonic(), requests(kubectl, flow)
    # Each watch is opened anew when its time is up; before that, nothing is asked at all.
    renewals = 0
    if ended - started > WATCH_SECONDS - 5:
        renewals = len(Kind) * (1 + math.ceil((ended - begun) / WATCH_SECONDS))
    print(
        f"{READS} GETs in {ended - begun:.1f} s: {after - before} requests to the API server, "
        f"of which watches renewed may be {renewals}"
    )
    assert after - before <= renewals


def read(api: Api) -> None:
    paths = ("/api/v1/status/read", "/api/v1/tasks", "/api/v1/agents", "/api/v1/queues")
    for number in range(READS):
        answer = api.http.get(paths[number % len(paths)])
        assert answer.status_code == 200
