"""The Helm chart as rendered: what must hold whatever the values are. No cluster is asked."""

import pytest
from tests.support.chart import helm


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """A first run may have to build helm, which takes longer than a test may."""
    helm()
