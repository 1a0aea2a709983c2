"""No request made up from the OpenAPI document makes the API fail, or answer otherwise than it says.

``make fuzz`` sends more of them: ``HAREBELL_FUZZ_CASES`` for each operation, from ``HAREBELL_FUZZ_SEED``.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import Api, running
from tests.support.fuzzing import ENDLESS, fuzz
from tests.support.kubectl import Kubectl
from tests.support.openapi import operations

from harebell_api.samples import AGENT, ANNOUNCEMENT, FAILED, WAITING
from harebell_crds import API_VERSION

CASES = int(os.environ.get("HAREBELL_FUZZ_CASES", "10"))
SEED = int(os.environ.get("HAREBELL_FUZZ_SEED", "1"))
SECONDS = 240 + 12 * CASES

pytestmark = pytest.mark.timeout(SECONDS + 120, func_only=True)


@pytest.fixture
def furnished(
    chart_kubeconfig: Path, namespace: str, key_folder: Path, archive_url: str, kubectl: Kubectl
) -> Iterator[Api]:
    """An API with an archive, and with the resources that the examples are about."""
    kinds = ("Task", WAITING), ("Task", FAILED), ("Agent", AGENT), ("Announcement", ANNOUNCEMENT)
    for kind, sample in kinds:
        name: str = sample["metadata"]["name"]
        labels = sample["metadata"].get("labels", {})
        metadata: dict[str, Any] = {"name": name, "labels": labels}
        spec = sample["spec"]
        kubectl.apply({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
        status = json.dumps({"status": sample["status"]})
        kubectl("patch", kind.lower(), name, "--subresource=status", "--type=merge", "-p", status)
    with running(chart_kubeconfig, namespace, key_folder, HAREBELL_ARCHIVE_URL=archive_url) as api:
        yield api


def test_no_request_makes_the_api_fail(furnished: Api, tmp_path: Path) -> None:
    done = fuzz(furnished, tmp_path, CASES, SEED, SECONDS)
    statuses = ", ".join(f"{number} x {status}" for status, number in sorted(done.statuses.items()))
    print(
        f"seed {SEED}: {done.cases} cases for {done.operations} operations, {done.failures} answers of 5xx;"
        f" {statuses}"
    )
    assert done.operations == sum(found["operationId"] != ENDLESS for _, _, found in operations())
    assert done.statuses.total() >= done.cases > 20 * done.operations
    assert done.passed, done.output[-12_000:]
    assert done.failures == 0
    assert furnished.http.get("/readyz").status_code == 200
